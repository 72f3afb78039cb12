import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FolderNode, MergedTree } from '#sandbox/node/image/import/merged-tree.js';
import type { EntryMeta, LayerEntry } from '#sandbox/node/image/store/layer-entry.js';

const meta: EntryMeta = { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
const parts = (path: string): string[] => path.split('/').filter(Boolean);
const file = (path: string, content = 0): LayerEntry => ({ kind: 'file', path: parts(path), meta, content });
const folder = (path: string): LayerEntry => ({ kind: 'folder', path: parts(path), meta });
const link = (path: string, target: string): LayerEntry => ({
  kind: 'symlink',
  path: parts(path),
  meta,
  target,
});
const hard = (path: string, target: string): LayerEntry => ({
  kind: 'hardlink',
  path: parts(path),
  target: parts(target),
});
const whiteout = (path: string): LayerEntry => ({ kind: 'whiteout', path: parts(path) });
const opaque = (path: string): LayerEntry => ({ kind: 'opaque', path: parts(path) });

/** `path` -> `layer:content` of files, `-> target` of links, `/` of folders. */
function listing(...layers: LayerEntry[][]): Record<string, string> {
  const tree = new MergedTree();
  for (const layer of layers) tree.apply(layer);
  const found: Record<string, string> = {};
  const walk = (node: FolderNode, at: string): void => {
    for (const [name, child] of node.children) {
      const path = `${at}${name}`;
      if (child.kind === 'folder') {
        found[path] = '/';
        walk(child, `${path}/`);
      } else found[path] = child.kind === 'file' ? `${child.layer}:${child.content}` : `-> ${child.target}`;
    }
  };
  walk(tree.root, '');
  return found;
}

describe('layers on top of each other', () => {
  test('a higher layer replaces files and keeps the rest', () => {
    expect(listing([file('a/x', 0), file('a/y', 1)], [file('a/x', 0)])).toEqual({
      a: '/',
      'a/x': '1:0',
      'a/y': '0:1',
    });
  });

  test('a whiteout removes what lower layers have, not what its own has', () => {
    expect(listing([file('a'), file('b')], [file('a', 1), whiteout('a'), whiteout('b')])).toEqual({
      a: '1:1',
    });
    expect(listing([file('d/e/f')], [whiteout('d')])).toEqual({});
    expect(listing([file('d')], [whiteout('missing/x'), whiteout('d/below-a-file')])).toEqual({ d: '0:0' });
  });

  test('an opaque folder hides what lower layers have in it', () => {
    expect(listing([file('d/old'), file('e/kept')], [file('d/new', 2), opaque('d')])).toEqual({
      d: '/',
      'd/new': '1:2',
      e: '/',
      'e/kept': '0:0',
    });
  });

  test('a folder replaces a file and a link, a file replaces a folder', () => {
    expect(listing([file('a'), link('b', 'c'), file('d/x')], [folder('a'), folder('b'), file('d')])).toEqual({
      a: '/',
      b: '/',
      d: '1:0',
    });
  });

  test('a folder that is there keeps its content', () => {
    expect(listing([file('d/x')], [folder('d')])).toEqual({ d: '/', 'd/x': '0:0' });
  });

  test('a hard link is the same file, also of a lower layer, and stays when the original goes', () => {
    expect(listing([file('a', 3)], [hard('b', 'a')], [whiteout('a')])).toEqual({ b: '0:3' });
  });
});

describe('links on the way', () => {
  const merged = [folder('usr/lib'), link('lib', 'usr/lib')];

  test('are followed inside the root', () => {
    expect(listing(merged, [file('lib/x', 4)])['usr/lib/x']).toBe('1:4');
    expect(listing([folder('a/b'), link('a/up', '../../../..')], [file('a/up/x')])).toMatchObject({
      x: '1:0',
    });
    expect(listing([folder('t'), link('l', '/t')], [file('l/x')])).toMatchObject({ 't/x': '1:0' });
    expect(listing(merged, [file('lib/x'), hard('y', 'lib/x')])['y']).toBe('1:0');
  });

  test('that lead nowhere get a folder made', () => {
    expect(listing([link('l', '/new/place')], [file('l/x')])).toMatchObject({ 'new/place/x': '1:0' });
  });

  test('in a circle are refused', () => {
    expect(() => listing([link('a', 'b'), link('b', 'a'), file('a/x')])).toThrow('damaged');
  });
});

test.each([
  ['a hard link to nothing', [hard('b', 'a')]],
  ['a hard link to a folder', [folder('a'), hard('b', 'a')]],
  ['something below a file', [file('a'), file('a/b')]],
  ['a file in place of the root', [file('')]],
])('%s is refused', (_, layer) => {
  expect(() => listing(layer)).toThrow('damaged');
});

test('whatever the layers say, the result is a tree of plain names', () => {
  const path = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 4 });
  const target = fc.array(fc.constantFrom('..', '.', '', 'a', 'b', 'c'), { minLength: 1, maxLength: 5 });
  const entry: fc.Arbitrary<LayerEntry> = fc.oneof(
    path.map((p): LayerEntry => ({ kind: 'folder', path: p, meta })),
    path.map((p): LayerEntry => ({ kind: 'file', path: p, meta, content: 0 })),
    fc
      .tuple(path, target)
      .map(([p, t]): LayerEntry => ({ kind: 'symlink', path: p, meta, target: t.join('/') || '/' })),
    fc.tuple(path, path).map(([p, t]): LayerEntry => ({ kind: 'hardlink', path: p, target: t })),
    path.map((p): LayerEntry => ({ kind: 'whiteout', path: p })),
    path.map((p): LayerEntry => ({ kind: 'opaque', path: p })),
  );
  fc.assert(
    fc.property(fc.array(fc.array(entry, { maxLength: 8 }), { maxLength: 4 }), (layers) => {
      try {
        for (const name of Object.keys(listing(...layers)))
          expect(name.split('/').every((part) => ['a', 'b', 'c'].includes(part))).toBe(true);
      } catch (error) {
        expect((error as Error).message).toContain('damaged');
      }
    }),
  );
});
