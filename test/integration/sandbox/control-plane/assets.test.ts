import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { assetsFolder, findAssets } from '#sandbox/control-plane/external/assets.js';

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

/** A program for Linux on another processor: its header, and nothing to run. */
function foreignProgram(name: string): void {
  const header = Buffer.from('7f454c46020101000000000000000000 0200 0200'.replaceAll(' ', ''), 'hex');
  writeFileSync(join(folder, name), Buffer.concat([header, Buffer.alloc(512, 0xff)]), { mode: 0o755 });
}

const refused = (text: string) => ({
  code: 'MESH0809',
  message: expect.stringContaining(text) as string,
  hint: expect.stringContaining('kube-apiserver') as string,
});

test('what is missing, too old, or no such program is said with what to do', async () => {
  await expect(findAssets(join(folder, 'none'))).rejects.toMatchObject(refused('cannot be read'));
  await expect(findAssets(folder)).rejects.toMatchObject(refused('kube-apiserver is missing'));
  program('etcd', 'etcd Version: 3.5.16');
  writeFileSync(join(folder, 'kube-apiserver'), 'not executable');
  await expect(findAssets(folder)).rejects.toMatchObject({
    ...refused('is not executable'),
    hint: expect.stringContaining('chmod +rx') as string,
  });
  chmodSync(join(folder, 'kube-apiserver'), 0o755);
  await expect(findAssets(folder)).rejects.toMatchObject(refused('is no program for Linux'));
  writeFileSync(join(folder, 'kube-apiserver'), '');
  await expect(findAssets(folder)).rejects.toMatchObject(refused('is empty'));
  foreignProgram('kube-apiserver');
  await expect(findAssets(folder)).rejects.toMatchObject(refused('is built for machine 2,'));
  program('kube-apiserver', 'Kubernetes v1.29.9');
  await expect(findAssets(folder)).rejects.toMatchObject(refused('is version 1.29.9, older than 1.30'));
  program('kube-apiserver', 'Kubernetes v0.0.0-master+$Format:%H$');
  await expect(findAssets(folder)).rejects.toMatchObject({
    ...refused('was built without its version'),
    hint: expect.stringContaining('-ldflags') as string,
  });
  program('kube-apiserver', 'hello');
  await expect(findAssets(folder)).rejects.toMatchObject(refused('does not say its version'));
  program('kube-apiserver', 'Kubernetes v1.32.0');
  rmSync(join(folder, 'etcd'));
  await expect(findAssets(folder)).rejects.toMatchObject(refused('etcd is missing'));
});
