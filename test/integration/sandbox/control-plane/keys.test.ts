import { mkdirSync, readdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ClusterPki } from '#sandbox/base/pki.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

test('keys are kept as a whole: what a killed start left of them is not taken for them', async () => {
  const keys = join(await temporaryFolder('meshctl-keys-'), 'pki');
  mkdirSync(keys);
  writeFileSync(join(keys, 'ca.crt'), '');
  writeFileSync(join(keys, 'sa.key.new'), '');
  const made = await ClusterPki.open(keys);
  expect(readdirSync(keys).sort()).toEqual(['ca.crt', 'ca.key', 'sa.key']);
  expect((await ClusterPki.open(keys)).caPem).toBe(made.caPem);
});

test('keys in a folder of keys: each is made while the other is', async () => {
  const keys = join(await temporaryFolder('meshctl-keys-'), 'pki');
  const inner = join(keys, 'front-proxy');
  const made = await Promise.all([ClusterPki.open(keys), ClusterPki.open(inner)]);
  const again = await Promise.all([ClusterPki.open(keys), ClusterPki.open(inner)]);
  expect(again.map((pki) => pki.caPem)).toEqual(made.map((pki) => pki.caPem));
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
