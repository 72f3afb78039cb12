import { describe, expect, it } from 'vitest';
import { supportAt, unhonoredIn } from '#mesh/rules/support/assess.js';
import { honored, ignored, refused, type SupportTable } from '#mesh/rules/support/support.js';

const table: SupportTable = {
  name: honored(),
  whole: honored({ isWhole: true }),
  mode: refused('there is one mode', 'ONE'),
  old: ignored('it is old', {}),
  'old.but.good': honored(),
  'list[].name': honored(),
  'list[].bad': refused('it is bad'),
  'env.*': ignored('unknown'),
  'env.GOOD': honored(),
  'env.PRE_*': honored(),
};

const found = (value: Parameters<typeof unhonoredIn>[1]) =>
  unhonoredIn(table, value).map(({ path, treatment, why }) => `${path} ${treatment}: ${why}`);

describe('what is not honored', () => {
  it('is nothing for honored names, harmless values and whatever stands below a whole', () => {
    expect(found({ name: 'x', whole: { any: ['thing'] }, mode: 'ONE', old: {}, env: { GOOD: '1' } })).toEqual(
      [],
    );
    expect(found({ env: { PRE_X: '1' }, list: [{ name: 'x' }] })).toEqual([]);
  });

  it('is named by the path of the user', () => {
    expect(found({ mode: 'TWO', list: [{ name: 'x' }, { bad: 1 }] })).toEqual([
      'mode refused: there is one mode',
      'list[1].bad refused: it is bad',
    ]);
    expect(found({ env: { 'a.b': '1' } })).toEqual(['env.a\\.b ignored: unknown']);
  });

  it('covers what stands below, but for rows of their own', () => {
    expect(found({ old: { but: { good: 1, worse: 2 } } })).toEqual(['old.but.worse ignored: it is old']);
    expect(found({ old: 1 })).toEqual(['old ignored: it is old']);
  });

  it('holds what no row knows, field by field', () => {
    expect(found({ later: { field: true }, list: [{ name: 'x', extra: 1 }] })).toEqual([
      'later.field ignored: this version does not know it',
      'list[0].extra ignored: this version does not know it',
    ]);
  });

  it('asks for nothing with null, an empty list or an empty map', () => {
    expect(found({ mode: null, env: { X: null }, later: {}, old: [] })).toEqual([]);
  });
});

it('finds the row that speaks for a path', () => {
  expect(supportAt(table, 'whole.any.thing')?.treatment).toBe('honored');
  expect(supportAt(table, 'old.other')?.treatment).toBe('ignored');
  expect(supportAt(table, 'old.but.good')?.treatment).toBe('honored');
  expect(supportAt(table, 'list[].bad.deep')?.treatment).toBe('refused');
  expect(supportAt(table, 'name.below')).toBeUndefined();
  expect(supportAt(table, 'list[]')).toBeUndefined();
});
