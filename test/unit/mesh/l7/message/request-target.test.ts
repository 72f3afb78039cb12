import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normalizeTarget } from '#mesh/l7/message/request-target.js';

describe('normalizeTarget', () => {
  it.each([
    ['/', '/', ''],
    ['/a/b?x=1', '/a/b', '?x=1'],
    ['/a/./b/../c', '/a/c', ''],
    ['/a/..', '/', ''],
    ['/../../etc', '/etc', ''],
    ['/public/%2e%2e/admin', '/admin', ''],
    ['/public/%2E./admin', '/admin', ''],
    ['/public\\..\\admin', '/admin', ''],
    ['/%61dmin', '/admin', ''],
    ['/a%2fb', '/a%2fb', ''],
    ['/a%252e%252e/b', '/a%252e%252e/b', ''],
    ['//a//b', '//a//b', ''],
    ['/a/.', '/a/', ''],
    ['/caf\u00c3\u00a9', '/caf%C3%A9', ''],
    ['/a?b=/../c', '/a', '?b=/../c'],
    ['/a?', '/a', '?'],
  ])('%s is %s', (target, path, query) => {
    expect(normalizeTarget(target)).toEqual({ path, query });
  });

  it.each(['', 'a', '*', '/a#b', '/a b', '/a\u0000', '/a%00b', '/a%', '/a%zz', '/a\u007f', 'http://x/'])(
    '%j is refused',
    (target) => {
      expect(normalizeTarget(target)).toBeUndefined();
    },
  );

  it('is stable: what policy saw is what a second reading gives', () => {
    const piece = fc.constantFrom(
      '/',
      '.',
      '..',
      '%2e',
      '%2F',
      '\\',
      'a',
      '%25',
      '%61',
      '\u00e9',
      '//',
      ';',
      '~',
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
        const once = normalizeTarget(`/${pieces.join('')}`);
        if (once === undefined) return;
        expect(normalizeTarget(once.path)).toEqual({ path: once.path, query: '' });
        expect(once.path.split('/')).not.toContain('..');
        expect(once.path.split('/')).not.toContain('.');
      }),
    );
  });
});
