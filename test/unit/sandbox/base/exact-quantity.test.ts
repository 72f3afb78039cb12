import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ExactQuantity } from '#sandbox/base/exact-quantity.js';
import { parseQuantity } from '#sandbox/base/quantity.js';

const suffixes = ['', 'n', 'u', 'm', 'k', 'M', 'G', 'T', 'Ki', 'Mi', 'Gi', 'Ti', 'e3', 'E-2'] as const;
const quantities = fc
  .tuple(fc.integer({ min: -1e6, max: 1e6 }), fc.integer({ min: 0, max: 999 }), fc.constantFrom(...suffixes))
  .map(([whole, fraction, suffix]) => `${whole}.${fraction}${suffix}`);

function parse(text: string): ExactQuantity {
  const quantity = ExactQuantity.parse(text);
  if (quantity === undefined) throw new Error(`${text} is no quantity`);
  return quantity;
}

describe('exact quantities', () => {
  test.each([
    ['0', '0'],
    ['1500m', '1500m'],
    ['1.5', '1500m'],
    ['1000m', '1'],
    ['2000', '2k'],
    ['1024', '1024'],
    ['1.5Gi', '1536Mi'],
    ['0.5Mi', '512Ki'],
    ['512Ki', '512Ki'],
    ['1024Mi', '1Gi'],
    ['0.5Ki', '512'],
    ['100n', '100n'],
    ['1e3', '1e3'],
    ['12e-1', '1200e-3'],
    ['-1.5Gi', '-1536Mi'],
    ['0.0000000001', '1n'],
    ['9223372036854775807', '9223372036854775807'],
    ['1E', '1E'],
  ])('%s is %s', (text, canonical) => {
    expect(parse(text).toString()).toBe(canonical);
  });

  test.each(['', '1 ', 'x', '1Kib', '--1', '1e', '.', '1m1', 'NaN'])('%j is none', (text) => {
    expect(ExactQuantity.parse(text)).toBeUndefined();
  });

  test('the canonical form means the same, and stays', () => {
    fc.assert(
      fc.property(quantities, (text) => {
        const quantity = parse(text);
        const again = parse(quantity.toString());
        // Binary forms are whole: a fraction is rounded up, as upstream.
        if (quantity.format !== 'BinarySI' || quantity.isInteger) expect(again.compare(quantity)).toBe(0);
        expect(again.toString()).toBe(quantity.toString());
      }),
    );
  });

  test('agree with floating point as far as that reaches', () => {
    fc.assert(
      fc.property(quantities, (text) => {
        const number = parseQuantity(text) ?? Number.NaN;
        const close = Math.abs(parse(text).toNumber() - number) <= 1e-9 + Math.abs(number) * 1e-12;
        expect(close).toBe(true);
      }),
    );
  });

  test('sums are exact, in any order, and undone by differences', () => {
    fc.assert(
      fc.property(quantities, quantities, quantities, (a, b, c) => {
        const [x, y, z] = [parse(a), parse(b), parse(c)];
        expect(x.plus(y).plus(z).nano).toBe(z.plus(x).plus(y).nano);
        expect(x.plus(y).minus(y).nano).toBe(x.nano);
        expect(x.compare(y) + y.compare(x)).toBe(0);
      }),
    );
    expect(parse('100m').plus(parse('200m')).compare(parse('0.3'))).toBe(0);
  });
});
