import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileIpBlock } from '#mesh/policy/l7/ip-block.js';
import { compilePathPattern } from '#mesh/policy/l7/path-pattern.js';
import {
  compilePrincipalPattern,
  compileServiceAccountPattern,
  parsePrincipal,
} from '#mesh/policy/l7/principal-pattern.js';
import { compileNamespacePattern, compileStringPattern } from '#mesh/policy/l7/string-pattern.js';

const names = { trustDomain: 'cluster.local', trustDomainAliases: [] };

describe('string pattern', () => {
  it.each([
    ['GET', 'GET', true],
    ['GET', 'get', false],
    ['GET', 'GETX', false],
    ['*', 'x', true],
    ['*', '', false],
    ['/auth/*', '/auth/', true],
    ['/auth/*', '/auth/x/y', true],
    ['/auth/*', '/auth', false],
    ['*.example.com', 'a.example.com', true],
    ['*.example.com', 'example.com', false],
    ['a*b', 'axb', false],
    ['a*b', 'a*b', true],
    ['*/x/*', 'a/x/b', false],
    ['*/x/*', 'a/x/*', true],
  ])('%s on %j is %s', (pattern, value, expected) => {
    expect(compileStringPattern(pattern)?.(value)).toBe(expected);
  });

  it('refuses an empty pattern', () => {
    expect(compileStringPattern('')).toBeUndefined();
  });

  it('folds case only when asked', () => {
    expect(compileStringPattern('Shop.Example*', { ignoreCase: true })?.('shop.example:80')).toBe(true);
    expect(compileStringPattern('Shop.Example*')?.('shop.example:80')).toBe(false);
  });

  it('agrees with plain prefix and suffix tests for any text', () => {
    const text = fc.string().filter((s) => s !== '' && !s.includes('*'));
    fc.assert(
      fc.property(text, fc.string(), (needle, value) => {
        expect(compileStringPattern(`${needle}*`)?.(value)).toBe(value.startsWith(needle));
        expect(compileStringPattern(`*${needle}`)?.(value)).toBe(value.endsWith(needle));
        expect(compileStringPattern(needle)?.(value)).toBe(value === needle);
      }),
    );
  });
});

describe('namespace pattern', () => {
  it('treats every asterisk as any characters, as the equivalent expression does', () => {
    const alphabet = fc.constantFrom('a', 'b', '-');
    const pattern = fc.array(fc.constantFrom('a', 'b', '-', '*'), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(pattern, fc.array(alphabet, { maxLength: 8 }), (parts, chars) => {
        const value = chars.join('');
        const expected = new RegExp(`^${parts.join('').replaceAll('*', '.*')}$`).test(value);
        expect(compileNamespacePattern(parts.join(''))?.(value)).toBe(expected);
      }),
    );
  });
});

describe('principal pattern', () => {
  it.each([
    ['cluster.local/ns/shop/sa/web', 'cluster.local/ns/shop/sa/web', true],
    ['cluster.local/ns/shop/sa/*', 'cluster.local/ns/shop/sa/web', true],
    ['cluster.local/ns/*/sa/web', 'cluster.local/ns/shop/sa/web', false],
    ['*/sa/web', 'cluster.local/ns/shop/sa/web', true],
    ['*', 'cluster.local/ns/shop/sa/web', true],
    ['other.td/ns/shop/sa/web', 'cluster.local/ns/shop/sa/web', false],
  ])('%s on %s is %s', (pattern, value, expected) => {
    expect(compilePrincipalPattern(pattern, names)?.(value)).toBe(expected);
  });

  it('reads cluster.local as the trust domain of this mesh and its aliases', () => {
    const mesh = { trustDomain: 'prod.example', trustDomainAliases: ['old.example'] };
    const test = compilePrincipalPattern('cluster.local/ns/shop/sa/*', mesh);
    expect(test?.('prod.example/ns/shop/sa/web')).toBe(true);
    expect(test?.('old.example/ns/shop/sa/web')).toBe(true);
    expect(test?.('cluster.local/ns/shop/sa/web')).toBe(false);
    expect(compilePrincipalPattern('old.example/ns/shop/sa/web', mesh)?.('prod.example/ns/shop/sa/web')).toBe(
      true,
    );
  });

  it('parses only the five-segment form', () => {
    expect(parsePrincipal('td/ns/a/sa/b')).toEqual({
      trustDomain: 'td',
      namespace: 'a',
      serviceAccount: 'b',
    });
    for (const bad of ['td/ns/a/sa', 'td/ns/a/sa/b/c', 'td/sa/a/ns/b', '/ns/a/sa/b', 'td/ns//sa/b']) {
      expect(parsePrincipal(bad)).toBeUndefined();
    }
  });

  it('qualifies service accounts with the namespace of the policy and refuses wildcards', () => {
    expect(compileServiceAccountPattern('web', 'shop')?.('shop/web')).toBe(true);
    expect(compileServiceAccountPattern('web', 'shop')?.('bank/web')).toBe(false);
    expect(compileServiceAccountPattern('bank/web', 'shop')?.('bank/web')).toBe(true);
    expect(compileServiceAccountPattern('*', 'shop')).toBeUndefined();
    expect(compileServiceAccountPattern('a/b/c', 'shop')).toBeUndefined();
  });
});

describe('path pattern', () => {
  it.each([
    ['/a/{*}/c', '/a/b/c', true],
    ['/a/{*}/c', '/a/b/x/c', false],
    ['/a/{*}/c', '/a//c', false],
    ['/a/{**}', '/a/b/c', true],
    ['/a/{**}', '/a/', true],
    ['/a/{**}', '/a', false],
    ['/{*}/b/{**}', '/x/b/y/z', true],
    ['/a/{**}/z', '/a/b/c/z', true],
    ['/a/{**}/z', '/a/b/c', false],
    ['/healthz', '/healthz', true],
    ['/healthz', '/healthz/', false],
  ])('%s on %s is %s', (pattern, path, expected) => {
    expect(compilePathPattern(pattern)?.(path)).toBe(expected);
  });

  it.each(['/a/{*}/b*', '/a/x{*}', '/{**}/{*}', '/{**}/{**}', 'a/{*}', '/{x}/{*}', ''])(
    'refuses %j',
    (pattern) => {
      expect(compilePathPattern(pattern)).toBeUndefined();
    },
  );
});

describe('ip block', () => {
  it.each([
    ['10.0.0.0/8', '10.1.2.3', true],
    ['10.0.0.0/8', '11.1.2.3', false],
    ['10.1.2.3', '10.1.2.3', true],
    ['10.1.2.3', '10.1.2.4', false],
    ['0.0.0.0/0', '203.0.113.9', true],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['2001:db8::/32', '2001:db8::1', true],
    ['2001:db8::/32', '10.0.0.1', false],
    ['10.0.0.0/8', 'not an address', false],
  ])('%s on %s is %s', (block, address, expected) => {
    expect(compileIpBlock(block)?.(address)).toBe(expected);
  });

  it.each([
    '',
    '10.0.0.0/33',
    '10.0.0/8',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '::ffff:10.0.0.0/104',
    'fe80::1%eth0',
  ])('refuses %j', (block) => {
    expect(compileIpBlock(block)).toBeUndefined();
  });
});
