import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ClusterPki } from '../../../src/sandbox/apiserver/auth/pki.js';
import { temporaryFolder } from '../../harness/temporary-folder.js';

test('keys are kept as a whole: what a killed start left of them is not taken for them', async () => {
  const folder = await temporaryFolder('meshctl-keys-');
  const keys = join(folder, 'pki');
  mkdirSync(`${keys}.new`);
  writeFileSync(join(`${keys}.new`, 'ca.crt'), '');
  mkdirSync(keys);
  const made = await ClusterPki.open(keys);
  expect(readdirSync(folder)).toEqual(['pki']);
  expect((await ClusterPki.open(keys)).caPem).toBe(made.caPem);
});

test('damaged keys are refused, with what to do', async () => {
  const keys = join(await temporaryFolder('meshctl-keys-'), 'pki');
  await ClusterPki.open(keys);
  truncateSync(join(keys, 'ca.crt'));
  await expect(ClusterPki.open(keys)).rejects.toMatchObject({
    code: 'MESH0814',
    message: expect.stringContaining(keys) as string,
    hint: expect.stringContaining('--purge') as string,
  });
});
