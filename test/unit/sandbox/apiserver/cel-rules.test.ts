import { describe, expect, test } from 'vitest';
import { celErrors } from '#sandbox/apiserver/crd/cel-rules.js';
import { ruleErrors } from '#sandbox/apiserver/crd/rule-checks.js';
import type { Schema } from '#sandbox/apiserver/schema/schema.js';

const withRule = (rule: string, extra: Partial<Schema> = {}): Schema => ({
  type: 'object',
  rules: [{ rule }],
  ...extra,
});

describe('CEL rules', () => {
  test('has() works on items of lists', () => {
    const schema = withRule('size(self.a) == 0 || has(self.a[0].b)');
    expect(celErrors({ a: [{ b: 1 }] }, undefined, schema)).toEqual([]);
    expect(celErrors({ a: [{}] }, undefined, schema)).toHaveLength(1);
  });

  test('integers are integers, and rules on transitions wait for an old value', () => {
    const properties = { n: { type: 'integer' } } as const;
    expect(celErrors({ n: 3 }, undefined, withRule('self.n % 2 == 1', { properties }))).toEqual([]);
    const transition = withRule('self.n >= oldSelf.n', { properties });
    expect(celErrors({ n: 1 }, undefined, transition)).toEqual([]);
    expect(celErrors({ n: 1 }, { n: 2 }, transition)).toHaveLength(1);
  });

  test('URLs can be taken apart', () => {
    const schema: Schema = {
      type: 'string',
      rules: [{ rule: 'isURL(self) && url(self).getScheme() in ["http", "https"]', message: 'no' }],
    };
    expect(celErrors('https://a/b', undefined, schema)).toEqual([]);
    expect(celErrors('ftp://a/b', undefined, schema).map((e) => e.message)).toEqual([
      'Invalid value: "string": no',
    ]);
  });

  test('a rule that cannot be compiled is a problem of the definition, and never passes', () => {
    expect(ruleErrors(withRule('self.a ==='), 's')).toHaveLength(1);
    expect(ruleErrors(withRule('frobnicate(self)'), 's')).toHaveLength(1);
    expect(celErrors({}, undefined, withRule('frobnicate(self)'))).toHaveLength(1);
  });
});
