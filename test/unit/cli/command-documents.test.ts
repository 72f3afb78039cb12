import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { commandDocuments } from '../../../scripts/command-documents.js';

const howTo = 'the pages about the commands are not current: run "npm run docs" and commit what it writes';

it('are what docs/commands and man hold, and nothing else', async () => {
  const pages = await commandDocuments();
  const present = ['docs/commands', 'man'].flatMap((folder) =>
    readdirSync(folder).map((name) => `${folder}/${name}`),
  );
  expect(present.toSorted(), howTo).toEqual([...pages.keys()].toSorted());
  for (const [path, text] of pages)
    expect(readFileSync(path, 'utf8') === text, `${path}: ${howTo}`).toBe(true);
});

const hasGroff = spawnSync('groff', ['--version']).status === 0;

it.skipIf(!hasGroff)('are manual pages that groff has nothing to say about', async () => {
  for (const [path, text] of await commandDocuments()) {
    if (!path.startsWith('man/')) continue;
    const { status, stderr } = spawnSync('groff', ['-man', '-Tutf8', '-ww', '-z'], {
      input: text,
      encoding: 'utf8',
    });
    expect({ status, stderr }, path).toEqual({ status: 0, stderr: '' });
  }
});
