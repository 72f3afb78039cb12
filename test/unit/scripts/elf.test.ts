import { spawnSync } from 'node:child_process';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { machines, readElf, stripElf } from '../../../scripts/images/elf.js';
import { temporaryFolder } from '../../harness/temporary-folder.js';

const node = readFileSync(process.execPath);

test('what Node.js is linked with', () => {
  const elf = readElf(node);
  expect(elf?.machine).toBe(machines[process.arch === 'arm64' ? 'arm64' : 'amd64']);
  expect(elf?.interpreter).toMatch(/^\/lib.*\/ld-linux/);
  expect(elf?.libraries).toContain('libc.so.6');
});

test('without its symbols a program is smaller and runs', async () => {
  const stripped = stripElf(node);
  expect(stripped.length).toBeLessThan(node.length);
  expect(stripElf(stripped).equals(stripped)).toBe(true);
  const path = join(await temporaryFolder('elf-'), 'node');
  writeFileSync(path, stripped);
  chmodSync(path, 0o755);
  expect(spawnSync(path, ['-p', '6 * 7'], { encoding: 'utf8' }).stdout).toBe('42\n');
});

test.each([
  ['a script', '#!/bin/sh\n'],
  ['nothing', ''],
  ['its first bytes only', '\x7fELF'],
])('%s is none', (_, text) => {
  const bytes = Buffer.from(text);
  expect(readElf(bytes)).toBeUndefined();
  expect(stripElf(bytes)).toBe(bytes);
});
