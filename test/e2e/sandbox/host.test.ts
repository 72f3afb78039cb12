import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';

import { join, resolve } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { command } from '../../harness/meshctl.js';
import { makeTestFolder } from '../../harness/test-user.js';

const dir = makeTestFolder();
const state = join(dir, 'state');
const empty = join(dir, 'empty');
mkdirSync(empty);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Covers a program, whatever links lead to it, with something that is none. */
const hide = (program: string) => `mount --bind /dev/null "$(readlink -f "$(command -v ${program})")"`;

// Each takes something away for real, in namespaces of its own, and then starts meshctl: "$@".
test.each([
  ['a program', `${hide('iptables')}; exec "$@"`, 'iptables, iptables-save, iptables-restore', 'iptables'],
  ['several programs', `${hide('bwrap')}; ${hide('ipset')}; exec "$@"`, 'bwrap, ipset', 'bubblewrap ipset'],
  [
    'user namespaces',
    'echo 1 > /proc/sys/user/max_user_namespaces; exec unshare --user --map-user=1000 "$@"',
    'user namespaces',
    'as root no user namespace is needed',
  ],
  [
    'network namespaces',
    'echo 0 > /proc/sys/user/max_net_namespaces; exec "$@"',
    'network namespaces',
    'sysctl -w user.max_net_namespaces=',
  ],
  [
    'the right to change networks',
    'exec setpriv --bounding-set -net_admin --inh-caps -net_admin "$@"',
    'veth',
    '--privileged',
  ],
  ['extensions of iptables', `XTABLES_LIBDIR=${empty} exec "$@"`, 'iptables nat', 'iptables   # again'],
])(
  'without %s up says what is missing and how to get it, and starts nothing',
  async (_what, script, piece, fix) => {
    const meshctl = [process.execPath, resolve('bin/meshctl.js'), 'sandbox', 'up', '--no-kubeconfig'];
    const user = ['--user', '--map-root-user', '--mount'];
    const env = { XDG_STATE_HOME: state, HOME: dir, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
    const outcome = await command('unshare', [...user, 'sh', '-c', script, 'sh', ...meshctl], { env });
    expect(outcome.stderr).toContain(`MESH0801: this machine lacks ${piece}\n`);
    expect(outcome.stderr).toMatch(/fix: .*/);
    expect(outcome.stderr.slice(outcome.stderr.indexOf('fix: '))).toContain(fix);
    expect(outcome.exitCode).toBe(1);
    const sandboxes = join(state, 'meshctl/sandbox');
    expect(existsSync(sandboxes) ? readdirSync(sandboxes) : []).toEqual([]);
  },
);
