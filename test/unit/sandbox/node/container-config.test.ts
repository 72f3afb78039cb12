import { describe, expect, test } from 'vitest';
import { BuiltinImages } from '#sandbox/node/image/builtin-images.js';
import type { ImageUser } from '#sandbox/node/image/image-user.js';
import { decideUser } from '#sandbox/node/kubelet/container/container-security.js';
import { capabilitiesOf } from '#sandbox/node/runtime/capabilities.js';
import { type ContainerConfig, startCommand } from '#sandbox/node/runtime/container-config.js';
import { makeContainer, makePod } from './make-pod.js';

const image = new BuiltinImages({ hub: 'meshctl', version: '1' }).find('meshctl/tool');

function makeConfig(o: Partial<ContainerConfig> = {}): ContainerConfig {
  if (image === undefined) throw new Error('the tool image is built in');
  return {
    id: 'id',
    image,
    rootfs: '/r',
    command: ['prog', 'arg'],
    env: { A: '1' },
    workingDir: '/w',
    hasTerminal: false,
    namespaces: { net: '/var/run/netns/cni-1' },
    pidNamespace: 'own',
    isRootfsReadOnly: false,
    isPrivileged: false,
    mayGainPrivileges: true,
    hasSeccompFilter: false,
    capabilities: ['CAP_CHOWN'],
    user: undefined,
    mounts: [],
    ...o,
  };
}

/** Everything bubblewrap is told, in order. */
function bwrapArguments(config: ContainerConfig): string[] {
  const { line, options } = startCommand(config);
  const at = line.indexOf('--args');
  return [...line.slice(0, at), ...options, ...line.slice(at + 2)];
}

/** Whether `part` occurs in `whole`, in order and without gaps. */
function holds(whole: readonly string[], ...part: string[]): boolean {
  return whole.some((_, i) => part.every((word, j) => whole[i + j] === word));
}

describe('the command line of a container', () => {
  test('the program is the last thing, as pid 1 of its own namespace', () => {
    const command = bwrapArguments(makeConfig());
    expect(command.slice(-3)).toEqual(['--', 'prog', 'arg']);
    expect(holds(command, '--unshare-pid', '--as-pid-1')).toBe(true);
  });

  test('a mount inside another comes after it', () => {
    const command = bwrapArguments(
      makeConfig({
        mounts: [
          { source: '/s/inner', target: '/data/inner', isReadOnly: true },
          { source: '/s/outer', target: '/data', isReadOnly: false },
        ],
      }),
    );
    expect(command.indexOf('/data/inner')).toBeGreaterThan(command.indexOf('/data'));
    expect(holds(command, '--ro-bind', '/s/inner', '/data/inner')).toBe(true);
    expect(holds(command, '--bind', '/s/outer', '/data')).toBe(true);
  });

  test('a read-only root is made so after the volumes are in place', () => {
    const command = bwrapArguments(
      makeConfig({ isRootfsReadOnly: true, mounts: [{ source: '/s', target: '/v', isReadOnly: false }] }),
    );
    expect(command.indexOf('--remount-ro')).toBeGreaterThan(command.indexOf('/v'));
  });

  test('capabilities are dropped unless all are granted', () => {
    expect(holds(bwrapArguments(makeConfig()), '--cap-drop', 'ALL', '--cap-add', 'CAP_CHOWN')).toBe(true);
    expect(bwrapArguments(makeConfig({ capabilities: 'all' }))).not.toContain('--cap-drop');
  });

  test('another user is taken on inside, which leaves no capability to gain', () => {
    const command = bwrapArguments(makeConfig({ user: { uid: 7, gid: 8, groups: [9] } }));
    expect(holds(command, '/dev/.sandbox/setpriv', '--reuid', '7', '--regid', '8', '--groups', '9')).toBe(
      true,
    );
    expect(holds(command, '--bounding-set', '-all,+chown', '--', 'prog')).toBe(true);
  });

  test('variables of the dynamic loader reach the program, and no helper', () => {
    const env = { LD_PRELOAD: '/lib/x.so', A: '1' };
    const command = bwrapArguments(makeConfig({ env, user: { uid: 7, gid: 8, groups: [] } }));
    expect(command).not.toContain('LD_PRELOAD');
    expect(holds(command, '/dev/.sandbox/env', 'LD_PRELOAD=/lib/x.so', 'prog', 'arg')).toBe(true);
    expect(holds(bwrapArguments(makeConfig({ env })), '--setenv', 'LD_PRELOAD', '/lib/x.so')).toBe(true);
  });

  test('a namespace of the node or of another process is joined from outside, not made', () => {
    for (const pidNamespace of ['node', 4711] as const) {
      const command = bwrapArguments(makeConfig({ pidNamespace }));
      expect(command).not.toContain('--unshare-pid');
      expect(command).not.toContain('--as-pid-1');
    }
  });
});

describe('capabilities', () => {
  test.each([
    [{ privileged: true }, 'all'],
    [{ capabilities: { drop: ['ALL'] } }, []],
    [{ capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } }, ['CAP_NET_ADMIN']],
    [{ capabilities: { add: ['ALL'] } }, 'all'],
  ])('%j grants %j', (context, expected) => {
    expect(capabilitiesOf(context)).toEqual(expected);
  });

  test('without a word the runtime defaults apply; drop and add change them', () => {
    const capabilities = capabilitiesOf({ capabilities: { drop: ['net_raw'], add: ['CAP_SYS_TIME'] } });
    expect(capabilities).toContain('CAP_CHOWN');
    expect(capabilities).toContain('CAP_SYS_TIME');
    expect(capabilities).not.toContain('CAP_NET_RAW');
    expect(capabilities).not.toContain('CAP_SYS_ADMIN');
  });

  test('add all, drop one', () => {
    const capabilities = capabilitiesOf({ capabilities: { add: ['ALL'], drop: ['SYS_ADMIN'] } });
    expect(capabilities).toContain('CAP_NET_ADMIN');
    expect(capabilities).not.toContain('CAP_SYS_ADMIN');
  });
});

describe('the user of a container', () => {
  const root = { uid: 0, gid: 0, groups: [], home: '/root', isNumeric: true };
  const decide = (context: object, image: Partial<ImageUser> = {}, canSwitchUser = true) =>
    decideUser(makePod(), makeContainer({ securityContext: context }), {
      imageUser: { ...root, ...image },
      canSwitchUser,
    });

  test('root needs no switch', () => {
    expect(decide({ runAsUser: 0 })).toEqual({ user: undefined, deviation: undefined, refusal: undefined });
  });

  test('a number is honored where ids can be switched, and said aloud where not', () => {
    expect(decide({ runAsGroup: 2 }, { uid: 1000, groups: [7] }).user).toEqual({
      uid: 1000,
      gid: 2,
      groups: [7],
    });
    const without = decide({}, { uid: 1000 }, false);
    expect(without.user).toBeUndefined();
    expect(without.deviation).toContain('asks for user 1000:0');
    const grouped = makePod({ spec: { securityContext: { fsGroup: 5 } } });
    const options = { imageUser: root, canSwitchUser: false };
    expect(decideUser(grouped, makeContainer({}), options).deviation).toBeUndefined();
  });

  test('runAsNonRoot refuses root', () => {
    expect(decide({ runAsNonRoot: true }).refusal).toContain('runAsNonRoot');
    expect(decide({ runAsNonRoot: true }, { uid: 5 }).refusal).toBeUndefined();
    expect(decide({ runAsNonRoot: true }, { uid: 5, isNumeric: false }).refusal).toContain(
      'non-numeric user',
    );
  });
});
