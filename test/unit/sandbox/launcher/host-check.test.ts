import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkHost, systemPath } from '../../../../src/sandbox/launcher/host-check.js';

test('what is not installed is named, with one command that installs all of it', async () => {
  const empty = await mkdtemp(join(tmpdir(), 'empty-'));
  const missing = await checkHost({ path: empty, cniFolders: [empty] });
  expect(missing.map((m) => m.piece)).toEqual(
    expect.arrayContaining(['bwrap', 'unshare', 'ip', 'iptables', 'ipset', 'CNI plugins']),
  );
  expect(new Set(missing.map((m) => m.fix)).size).toBe(1);
  expect(missing[0]?.fix).toMatch(/install -y .*bubblewrap.*containernetworking-plugins/);
});

test("an ordinary user's PATH is completed", () => {
  expect(systemPath({ PATH: '/usr/bin:/home/me/bin' })).toBe(
    '/usr/bin:/home/me/bin:/usr/local/sbin:/usr/sbin:/sbin:/bin',
  );
});
