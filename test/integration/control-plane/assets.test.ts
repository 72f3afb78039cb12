import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { assetsFolder, findAssets } from '../../../src/sandbox/control-plane/external/assets.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'meshctl-assets-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** A program that only says its version. */
function program(name: string, says: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\necho '${says}'\n`);
  chmodSync(join(folder, name), 0o755);
}

test('the variable names a folder, from anywhere', () => {
  expect(assetsFolder({})).toBeUndefined();
  expect(assetsFolder({ KUBEBUILDER_ASSETS: '' })).toBeUndefined();
  expect(assetsFolder({ KUBEBUILDER_ASSETS: 'bin' })).toBe(join(process.cwd(), 'bin'));
});

test('both programs and their versions', async () => {
  program('kube-apiserver', 'Kubernetes v1.33.0-alpha.1');
  program('etcd', 'etcd Version: 3.5.16');
  expect(await findAssets(folder)).toEqual({
    kubeApiserver: join(folder, 'kube-apiserver'),
    etcd: join(folder, 'etcd'),
    version: 'v1.33.0-alpha.1',
    etcdVersion: '3.5.16',
  });
});

test('what is missing, too old, or no such program is said with what to do', async () => {
  await expect(findAssets(folder)).rejects.toMatchObject({
    code: 'MESH0809',
    message: expect.stringContaining('kube-apiserver is missing or not executable') as string,
    hint: expect.stringContaining('KUBEBUILDER_ASSETS') as string,
  });
  program('etcd', 'etcd Version: 3.5.16');
  writeFileSync(join(folder, 'kube-apiserver'), 'not executable');
  await expect(findAssets(folder)).rejects.toThrow('not executable');
  program('kube-apiserver', 'Kubernetes v1.29.9');
  await expect(findAssets(folder)).rejects.toThrow('is version 1.29.9, older than 1.30');
  program('kube-apiserver', 'hello');
  await expect(findAssets(folder)).rejects.toThrow('does not say its version');
});
