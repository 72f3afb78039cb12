import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { errorCatalog } from '#base/errors/catalog.js';

/** Codes named in string literals of the sources, outside of the catalog itself. */
function codesInUse(): Set<string> {
  const files = readdirSync('src', { recursive: true })
    .map(String)
    .filter((f) => f.endsWith('.ts') && !f.startsWith('errors/codes'));
  const codes = files.flatMap(
    (f) => readFileSync(join('src', f), 'utf8').match(/(?<=['"`])MESH\d{4}(?=['"`])/g) ?? [],
  );
  return new Set(codes);
}

test('every code in use is explained', () => {
  expect([...codesInUse()].filter((code) => errorCatalog[code] === undefined)).toEqual([]);
});

test('every code that is explained is in use', () => {
  const used = codesInUse();
  expect(Object.keys(errorCatalog).filter((code) => !used.has(code))).toEqual([]);
});

test('every explanation says what happened, how it comes about and what to do', () => {
  for (const [code, { title, cause, fix }] of Object.entries(errorCatalog)) {
    expect(
      [title.length, cause.length, fix.length].every((length) => length > 5),
      code,
    ).toBe(true);
  }
});
