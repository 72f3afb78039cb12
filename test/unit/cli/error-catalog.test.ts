import { readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { expect, test } from 'vitest';
import { errorCatalog } from '#cli/error-catalog.js';
import { docsOfCode } from '#mesh/inspect/findings/finding.js';
import { errorCodesDocument } from '../../../scripts/error-codes-document.js';

/** How a code stands in string literals of the sources: the tables of codes have them as bare keys. */
const codeIn: Readonly<Record<string, RegExp>> = {
  '.ts': /(?<=['"`])MESH\d{4}(?=['"`])/g,
  '.sh': /MESH\d{4}(?=: )/g,
};

/** Codes named in the sources below a folder. */
function codesInUse(folder = 'src'): Set<string> {
  const files = readdirSync(folder, { recursive: true }).map(String);
  const codes = files.flatMap((f) => {
    const pattern = codeIn[extname(f)];
    return pattern === undefined ? [] : (readFileSync(join(folder, f), 'utf8').match(pattern) ?? []);
  });
  return new Set(codes);
}

/** Every folder with a table of codes, and the folders whose codes it may raise besides its own. */
const raisedIn: Readonly<Record<string, readonly string[]>> = {
  'src/base': [],
  'src/sandbox': ['src/base'],
  'src/mesh/identity': ['src/base'],
  'src/mesh/hbone': ['src/base', 'src/mesh/identity'],
  'src/mesh/ztunnel': ['src/base', 'src/mesh/identity', 'src/mesh/hbone'],
  'src/mesh/gateway': ['src/base', 'src/mesh/identity', 'src/mesh/hbone'],
  'src/mesh/rules': ['src/base'],
  'src/mesh/cni': ['src/base', 'src/mesh/rules'],
  'src/mesh/controller': ['src/base', 'src/mesh/identity', 'src/mesh/rules'],
  'src/mesh/inspect': ['src/base'],
  'src/mesh/install': ['src/base', 'src/mesh/inspect'],
};

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

test('a part raises its own codes and those of the parts it stands on', () => {
  // A part may have further tables, for folders of its own.
  const table = (folder: string): string =>
    readdirSync(folder, { recursive: true })
      .map(String)
      .filter((file) => file === 'errors/codes.ts' || file.endsWith('error-codes.ts'))
      .map((file) => readFileSync(join(folder, file), 'utf8'))
      .join('\n');
  for (const [folder, below] of Object.entries(raisedIn)) {
    const explained = [folder, ...below].map(table).join('\n');
    expect(
      [...codesInUse(folder)].filter((code) => !explained.includes(`  ${code}: {`)),
      folder,
    ).toEqual([]);
  }
});

test('docs/errors.md is current: run "npm run docs" and commit what it writes', () => {
  expect(readFileSync('docs/errors.md', 'utf8')).toBe(errorCodesDocument());
});

test('every code has a place in docs/errors.md, to which findings point', () => {
  const headings = new Set(
    [...errorCodesDocument().matchAll(/^### (.+)$/gm)].map(([, heading = '']) => heading.toLowerCase()),
  );
  for (const code of Object.keys(errorCatalog)) {
    const [page, anchor = ''] = docsOfCode(code).split('#');
    expect(page).toBe('docs/errors.md');
    expect(headings, code).toContain(anchor);
  }
});
