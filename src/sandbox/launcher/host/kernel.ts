import { readFileSync } from 'node:fs';
import { run, type RunResult } from '#base/system/run.js';
import type { KernelTable, KernelTrial } from './kernel-trial.js';
import type { MissingPiece } from './missing-piece.js';
import { reinstallIptables, systemPath } from './programs.js';

/** What service routing, policies and containers do, each once; sets before their users. */
const trials: readonly KernelTrial[] = [
  { piece: 'mounts', attempt: { command: 'mount -t tmpfs tmpfs /run' } },
  {
    piece: 'containers by bubblewrap',
    attempt: { command: 'bwrap --unshare-pid --as-pid-1 --ro-bind / / --proc /proc --dev /dev -- true' },
  },
  {
    piece: 'veth',
    attempt: { command: 'ip link add trial0 type veth peer name trial1' },
    modules: 'veth',
  },
  { piece: 'bridge', attempt: { command: 'ip link add trial2 type bridge' }, modules: 'bridge' },
  { piece: 'ipset', attempt: { set: 'trial1 hash:ip' }, modules: 'ip_set ip_set_hash_ip' },
  { piece: 'ipset hash:ip,port', attempt: { set: 'trial2 hash:ip,port' }, modules: 'ip_set_hash_ipport' },
  { piece: 'ipset hash:net', attempt: { set: 'trial3 hash:net' }, modules: 'ip_set_hash_net' },
  {
    piece: 'iptables nat',
    attempt: {
      table: 'nat',
      rule: 'OUTPUT -p tcp -m mark ! --mark 0x1/0x1 -j MARK --or-mark 0x1',
    },
    modules: 'nft_chain_nat xt_mark nft_compat',
  },
  {
    piece: 'iptables DNAT',
    attempt: {
      table: 'nat',
      rule: 'OUTPUT -m addrtype --dst-type LOCAL -p tcp -j DNAT --to-destination 192.0.2.1:80',
    },
    modules: 'xt_addrtype xt_nat',
  },
  {
    piece: 'iptables statistic',
    attempt: {
      table: 'nat',
      rule: 'POSTROUTING -m statistic --mode random --probability 0.5 -m comment --comment x -j MASQUERADE',
    },
    modules: 'xt_statistic xt_comment xt_MASQUERADE',
  },
  {
    piece: 'iptables recent',
    attempt: { table: 'nat', rule: 'OUTPUT -m recent --name trial --rcheck --seconds 1 -j RETURN' },
    modules: 'xt_recent',
  },
  {
    piece: 'iptables connmark',
    attempt: { table: 'nat', rule: 'OUTPUT -m connmark --mark 0x1/0x1 -j CONNMARK --or-mark 0x1' },
    modules: 'xt_connmark nf_conntrack',
  },
  {
    piece: 'iptables conntrack',
    attempt: { table: 'filter', rule: 'FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT' },
    modules: 'xt_conntrack nf_conntrack',
  },
  {
    piece: 'iptables set',
    attempt: { table: 'filter', rule: 'FORWARD -m set --match-set trial1 src -j ACCEPT' },
    modules: 'xt_set',
  },
];

/** What a sandbox with IPv6 does besides. */
const ipv6Trials: readonly KernelTrial[] = [
  {
    piece: 'IPv6',
    attempt: { command: 'ip link set lo up && ip -6 addr add fd00::1/128 dev lo nodad' },
    modules: 'ipv6',
  },
  {
    piece: 'ip6tables nat',
    attempt: {
      command:
        "ip6tables -w -t nat -A OUTPUT -p tcp -m addrtype --dst-type LOCAL -j DNAT --to-destination '[fd00::1]:80'",
    },
    modules: 'nft_chain_nat nf_nat ip6table_nat',
  },
];

/** Namespaces a sandbox is made of: flag of unshare -> what it is called, and the knob that limits it. */
const namespaces: readonly [flag: string, name: string, knob: string][] = [
  ['--user', 'user namespaces', 'max_user_namespaces'],
  ['--net', 'network namespaces', 'max_net_namespaces'],
  ['--mount', 'mount namespaces', 'max_mnt_namespaces'],
  ['--pid', 'process namespaces', 'max_pid_namespaces'],
  ['--uts', 'host name namespaces', 'max_uts_namespaces'],
  ['--ipc', 'IPC namespaces', 'max_ipc_namespaces'],
];
/** Debian's default for a machine with some gigabytes. */
const namespacesSensible = 28_633;
const container = 'docker run --privileged ...   # when this is a container: it must be allowed to nest';

/**
 * One trial run of everything the kernel must allow, in namespaces that end with it. When that fails, the first
 * piece that does so alone.
 */
export async function checkKernel(o: {
  readonly ipv6: boolean;
  readonly trials: readonly KernelTrial[];
}): Promise<MissingPiece | undefined> {
  const wanted = [...trials, ...o.trials, ...(o.ipv6 ? ipv6Trials : [])];
  const together = await tryOut(allAtOnce(wanted));
  if (together.exitCode === 0) return undefined;
  if (!together.stdout.startsWith('begun')) return namespaceProblem(together.stderr.trim());
  const single = await tryOut(
    wanted.map(({ attempt }, index) => `${alone(attempt)} || { echo ${index}; exit 1; }`),
  );
  const failed = single.exitCode === 0 ? undefined : wanted[Number(single.stdout.split('\n')[1])];
  const evidence = (failed === undefined ? together : single).stderr.trim();
  return {
    piece: failed?.piece ?? 'kernel features',
    reason: `a trial run failed: ${evidence}`,
    fix: fixOf(failed, evidence),
  };
}

async function tryOut(commands: readonly string[]): Promise<RunResult> {
  const flags = ['--net', '--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child', '--mount-proc'];
  const script = ['echo begun', ...commands].join('\n');
  return run('unshare', [...userFlags(), ...flags, '--', 'sh', '-c', script], {
    env: { PATH: systemPath() },
  });
}

/** Few processes: every `up` waits for this. */
function allAtOnce(wanted: readonly KernelTrial[]): string[] {
  const commands: string[] = [];
  const sets: string[] = [];
  const rules: Record<KernelTable, string[]> = { nat: [], filter: [], mangle: [] };
  for (const { attempt } of wanted) {
    if ('command' in attempt) commands.push(`${attempt.command} || exit 1`);
    else if ('set' in attempt) sets.push(`create ${attempt.set}`);
    else rules[attempt.table].push(`-A ${attempt.rule}`);
  }
  const tables = Object.entries(rules).flatMap(([table, lines]) => [`*${table}`, ...lines, 'COMMIT']);
  const fed = (program: string, lines: readonly string[]): string =>
    `${program} <<'END' || exit 1\n${lines.join('\n')}\nEND`;
  return [...commands, fed('ipset restore', sets), fed('iptables-restore -w', tables)];
}

function alone(attempt: KernelTrial['attempt']): string {
  if ('command' in attempt) return attempt.command;
  return 'set' in attempt
    ? `ipset create ${attempt.set}`
    : `iptables -w -t ${attempt.table} -A ${attempt.rule}`;
}

function userFlags(): string[] {
  return process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
}

function fixOf(trial: KernelTrial | undefined, evidence: string): string {
  if (evidence.includes("Couldn't load")) return reinstallIptables();
  // A module that is missing is not a question of rights.
  const isRefused = /operation not permitted|permission denied/i.test(evidence);
  if (trial?.modules === undefined || isRefused) return container;
  return `sudo modprobe -a ${trial.modules}`;
}

async function namespaceProblem(evidence: string): Promise<MissingPiece> {
  const env = { PATH: systemPath() };
  const isRoot = process.getuid?.() === 0;
  for (const [flag, name, knob] of namespaces) {
    if (flag === '--user' && isRoot) continue;
    const flags = flag === '--user' ? [flag] : [...userFlags(), flag];
    const single = await run('unshare', [...flags, '--fork', '--', 'true'], { env });
    if (single.exitCode === 0) continue;
    const who = isRoot ? 'root' : 'ordinary users';
    return {
      piece: name,
      reason: `the kernel does not let ${who} make ${name}: ${single.stderr.trim()}`,
      fix: namespaceFix(flag, knob),
    };
  }
  return { piece: 'namespaces', reason: `they cannot be made together: ${evidence}`, fix: container };
}

function namespaceFix(flag: string, knob: string): string {
  const limit = Number(readKnob(`user/${knob}`) ?? namespacesSensible);
  const fewEnough = 64;
  if (limit < fewEnough) return `sudo sysctl -w user.${knob}=${namespacesSensible}`;
  if (flag !== '--user' || process.getuid?.() === 0) return container;
  if (readKnob('kernel/unprivileged_userns_clone') === '0')
    return 'sudo sysctl -w kernel.unprivileged_userns_clone=1';
  if (readKnob('kernel/apparmor_restrict_unprivileged_userns') === '1')
    return 'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0';
  return 'sudo meshctl sandbox up   # as root no user namespace is needed';
}

/** A kernel setting below /proc/sys; undefined where this kernel has no such knob. */
function readKnob(name: string): string | undefined {
  try {
    return readFileSync(`/proc/sys/${name}`, 'utf8').trim();
  } catch {
    return undefined;
  }
}
