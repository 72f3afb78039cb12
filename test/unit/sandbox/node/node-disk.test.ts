import { existsSync, readFileSync, statSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { prepareNodeRootfs } from '#sandbox/node/host/node-rootfs.js';
import { writeCniConfig } from '#sandbox/supervisor/nodes/cni-config.js';
import { clearLastRun } from '#sandbox/supervisor/nodes/node-disk.js';

let folder = '';
let rootfs = '';
/** What a link on the node's disk may not reach. */
let outside = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'node-disk-'));
  rootfs = join(folder, 'rootfs');
  outside = join(folder, 'outside');
  await mkdir(rootfs);
  await mkdir(outside);
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function prepare(): Promise<void> {
  const plugins = join(folder, 'plugins');
  await mkdir(plugins, { recursive: true });
  await writeFile(join(plugins, 'ptp'), '');
  const nameserver = '10.96.0.10';
  await prepareNodeRootfs(rootfs, { name: 'node-1', ips: ['172.18.0.2'], cniPluginDir: plugins, nameserver });
}

describe("a node's disk", () => {
  test('has what every machine has', async () => {
    await prepare();
    expect(readFileSync(join(rootfs, 'etc/hosts'), 'utf8')).toContain('172.18.0.2\tnode-1\n');
    for (const shared of ['tmp', 'var/tmp'])
      expect(statSync(join(rootfs, shared)).mode & 0o7777).toBe(0o1777);
  });

  test('is completed inside, wherever the links lead that pods left on it', async () => {
    await mkdir(join(rootfs, 'etc'));
    await symlink(outside, join(rootfs, 'etc/cni'));
    await symlink(join(outside, 'hosts'), join(rootfs, 'etc/hosts'));
    await symlink(outside, join(rootfs, 'opt'));
    await prepare();
    await writeCniConfig(rootfs, ['10.244.1.0/24'], { hasPortmap: false });
    for (const path of ['net.d', 'hosts', 'cni']) expect(existsSync(join(outside, path))).toBe(false);
    // The node itself sees all of it, by the same links.
    const inside = join(rootfs, outside);
    expect(existsSync(join(inside, 'net.d/10-sandbox.conflist'))).toBe(true);
    expect(readFileSync(join(inside, 'hosts'), 'utf8')).toContain('node-1');
  });

  test('is cleared inside', async () => {
    await mkdir(join(outside, 'lib/containers/precious'), { recursive: true });
    await mkdir(join(outside, 'log/pods/stale'), { recursive: true });
    await symlink(outside, join(rootfs, 'var'));
    await clearLastRun(rootfs, () => Promise.resolve(new Set()));
    expect(existsSync(join(outside, 'lib/containers/precious'))).toBe(true);
    expect(existsSync(join(outside, 'log/pods/stale'))).toBe(true);
  });
});
