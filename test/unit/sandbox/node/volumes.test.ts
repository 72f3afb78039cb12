import { readdir, readFile, readlink, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type VolumeFile, writeVolumeFiles } from '#sandbox/node/volume/atomic-writer.js';
import { sourcesOf } from '#sandbox/node/volume/volume-content.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

const file = (text: string, mode = 0o644): VolumeFile => ({ content: Buffer.from(text), mode });

describe('atomic volume content', () => {
  test('names lead through ..data, which is replaced as a whole', async () => {
    const folder = await temporaryFolder('volume-');
    expect(
      await writeVolumeFiles(
        folder,
        new Map([
          ['a', file('1')],
          ['sub/b', file('2', 0o400)],
        ]),
      ),
    ).toBe(true);
    expect(await readlink(join(folder, 'a'))).toBe('..data/a');
    expect(await readFile(join(folder, 'sub/b'), 'utf8')).toBe('2');
    expect((await stat(join(folder, 'sub/b'))).mode & 0o777).toBe(0o400);
    const before = await readlink(join(folder, '..data'));

    expect(await writeVolumeFiles(folder, new Map([['c', file('3')]]))).toBe(true);
    expect(await readlink(join(folder, '..data'))).not.toBe(before);
    expect((await readdir(folder)).filter((n) => !n.startsWith('..'))).toEqual(['c']);
    expect((await readdir(folder)).filter((n) => n.startsWith('..2'))).toHaveLength(1);
  });

  test('the same content changes nothing', async () => {
    const folder = await temporaryFolder('volume-');
    const files = new Map([['a', file('1')]]);
    await writeVolumeFiles(folder, files);
    const before = await readlink(join(folder, '..data'));
    expect(await writeVolumeFiles(folder, files)).toBe(false);
    expect(await readlink(join(folder, '..data'))).toBe(before);
  });

  test.each(['../x', '/etc/x'])('a path that leads out is refused: %s', async (path) => {
    const folder = await temporaryFolder('volume-');
    await expect(writeVolumeFiles(folder, new Map([[path, file('1')]]))).rejects.toThrow('invalid path');
  });
});

test('what a volume must be refreshed for', () => {
  expect(
    sourcesOf({
      name: 'v',
      projected: { sources: [{ configMap: { name: 'c' } }, { secret: { name: 's' } }, { downwardAPI: {} }] },
    }),
  ).toEqual([
    { kind: 'configmap', name: 'c' },
    { kind: 'secret', name: 's' },
  ]);
  expect(sourcesOf({ name: 'v', secret: { secretName: 'x' } })).toEqual([{ kind: 'secret', name: 'x' }]);
  expect(sourcesOf({ name: 'v', emptyDir: {} })).toEqual([]);
});
