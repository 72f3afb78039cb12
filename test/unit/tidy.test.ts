import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const generated = join('src', 'mesh', 'xds', 'gen');
const sources = ['src', 'test', 'scripts'].flatMap((root) =>
  readdirSync(root, { recursive: true })
    .map((name) => join(root, String(name)))
    .filter((file) => file.endsWith('.ts') && !file.startsWith(generated) && !file.endsWith('tidy.test.ts'))
    .map((file) => ({ file, text: readFileSync(file, 'utf8') })),
);

/** `file:line: text` of every line of the product's code that matches. */
function linesWith(
  pattern: RegExp,
  isSearched: (file: string) => boolean = (file) => file.startsWith('src'),
): string[] {
  return sources
    .filter(({ file }) => isSearched(file))
    .flatMap(({ file, text }) =>
      text
        .split('\n')
        .flatMap((line, at) => (pattern.test(line) ? [`${file}:${at + 1}: ${line.trim()}`] : [])),
    );
}

/** Names that files export, with the files. Modules of one shape, loaded by path, share theirs. */
function exportedNames(): Map<string, string[]> {
  const names = new Map<string, string[]>();
  for (const { file, text } of sources.filter(({ file: path }) => path.startsWith('src'))) {
    const pattern = /^export (?:async |abstract )?(?:function\*?|const|class|interface|type|enum) (\w+)/gm;
    for (const [, name = ''] of text.matchAll(pattern)) {
      const isShape =
        (name === 'command' && file.startsWith('src/cli')) || (name === 'main' && file.endsWith('main.ts'));
      // Overloads of a function are one name.
      if (!isShape) names.set(name, [...new Set([...(names.get(name) ?? []), file])]);
    }
  }
  return names;
}

describe('one dialect', () => {
  it('writes private fields with #', () => {
    expect(linesWith(/^\s*private readonly |[(,]\s*private |^\s*private (?!constructor\b)/)).toEqual([]);
  });

  it('writes constants in camelCase', () => {
    expect(linesWith(/^(?:export )?const [A-Z][A-Z0-9_]{2,}\b/)).toEqual([]);
  });

  it('spells as Americans do', () => {
    const british =
      /\b(?:un|re)?enrol(?:s|ment|ments)?\b|[a-z]Enrolment|colour|behaviour|neighbour|honour|favour(?!ite)|licence|catalogue|normalis|recognis|serialis|\blabelled\b|\bmodelled\b/i;
    expect(linesWith(british, () => true)).toEqual([]);
  });

  it('refers to nothing outside the repository', () => {
    expect(linesWith(/\b(?:reference|cases|seeds)\/[\w-]+\.(?:md|txt)\b|\.\.\/shared\//, () => true)).toEqual(
      [],
    );
  });

  it('exports each name once', () => {
    expect([...exportedNames()].filter(([, files]) => files.length > 1)).toEqual([]);
  });
});
