import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { installCommand, packageManager } from '#sandbox/launcher/host/distribution.js';
import { checkHost } from '#sandbox/launcher/host/host-check.js';
import { systemPath } from '#sandbox/launcher/host/programs.js';

const empty = mkdtempSync(join(tmpdir(), 'empty-'));
afterAll(() => rmSync(empty, { recursive: true }));

test('what is not installed is named, with one command that installs all of it', async () => {
  const missing = await checkHost({ path: empty, cniFolders: [empty], platform: 'linux' });
  expect(missing.map((m) => m.piece)).toEqual(
    expect.arrayContaining(['bwrap', 'unshare', 'ip', 'iptables', 'ipset', 'CNI plugins']),
  );
  expect(new Set(missing.map((m) => m.fix)).size).toBe(1);
  expect(missing[0]?.fix).toMatch(/bubblewrap.*(containernetworking|cni)-plugins/);
});

test('what its images need of the machine is looked for too', async () => {
  const packages = { apt: 'brewer', dnf: 'brewer', zypper: 'brewer', pacman: 'brewer', apk: 'brewer' };
  const programs = { brew: { use: 'makes the tea', packages } };
  const missing = await checkHost({ path: empty, cniFolders: [empty], platform: 'linux', programs });
  expect(missing.find(({ piece }) => piece === 'brew')?.reason).toBe('brew makes the tea');
  expect(missing[0]?.fix).toContain('brewer');
});

test.each(['darwin', 'win32'] as const)('on %s it points to kind', async (platform) => {
  const [missing] = await checkHost({ platform });
  expect(missing?.reason).toContain(platform);
  expect(missing?.fix).toContain('kind create cluster');
});

test.each([
  ['ID=debian', 'apt'],
  ['ID=linuxmint\nID_LIKE="ubuntu debian"', 'apt'],
  ['ID="rocky"\nID_LIKE="rhel centos fedora"', 'dnf'],
  ['ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"', 'zypper'],
  ['ID=arch', 'pacman'],
  ['ID=alpine', 'apk'],
  ['ID=nixos', 'unknown'],
  ['', 'unknown'],
])('the package manager of %j', (osRelease, manager) => {
  expect(packageManager(osRelease)).toBe(manager);
});

test('packages have the names of the distribution, each once', () => {
  const ip = { apt: 'iproute2', dnf: 'iproute', zypper: 'iproute2', pacman: 'iproute2', apk: 'iproute2' };
  expect(installCommand([ip, ip], 'dnf')).toMatch(/dnf install -y iproute$/);
  expect(installCommand([ip], 'unknown')).toContain("(Debian's names): iproute2");
});

test("an ordinary user's PATH is completed", () => {
  expect(systemPath({ PATH: '/usr/bin:/home/me/bin' })).toBe(
    '/usr/bin:/home/me/bin:/usr/local/sbin:/usr/sbin:/sbin:/bin',
  );
});
