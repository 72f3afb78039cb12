import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { makeFolder } from '#sandbox/node/host/make-folder.js';

it('makes a folder with its parents, twice', async () => {
  const root = await mkdtemp(join(tmpdir(), 'folder-'));
  await makeFolder(join(root, 'a/b/c'));
  await makeFolder(join(root, 'a/b/c'));
  expect((await stat(join(root, 'a/b/c'))).isDirectory()).toBe(true);
  await rm(root, { recursive: true });
});

it('gives what it makes, and nothing else, the mode it is told', async () => {
  const root = await mkdtemp(join(tmpdir(), 'folder-'));
  await makeFolder(join(root, 'there'), 0o750);
  await makeFolder(join(root, 'there/a/b'), 0o3777);
  const modeOf = async (path: string): Promise<number> => (await stat(join(root, path))).mode & 0o7777;
  expect(await Promise.all(['there', 'there/a', 'there/a/b'].map(modeOf))).toEqual([0o750, 0o3777, 0o3777]);
  await rm(root, { recursive: true });
});

// A sandbox burned a whole processor after a node had died: the recursive mkdir
// of Node.js never gave up below the dead node's /proc/PID/root.
it('gives up below a process that is gone', async () => {
  const pidAboveTheMaximum = 2 ** 22 + 1;
  await expect(makeFolder(`/proc/${pidAboveTheMaximum}/root/run/x`)).rejects.toMatchObject({
    code: 'ENOENT',
  });
});
