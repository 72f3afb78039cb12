import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../system/run.js';

/** Something the sandbox needs and this machine does not have. */
export interface MissingPiece {
  readonly piece: string;
  /** What it is needed for, or what was observed. */
  readonly reason: string;
  /** The exact command that puts it in place. */
  readonly fix: string;
}

interface Program {
  readonly name: string;
  readonly use: string;
  readonly apt: string;
  readonly dnf: string;
}

const programs: readonly Program[] = [
  { name: 'bwrap', use: 'runs containers', apt: 'bubblewrap', dnf: 'bubblewrap' },
  { name: 'unshare', use: 'makes namespaces', apt: 'util-linux', dnf: 'util-linux' },
  { name: 'nsenter', use: 'enters namespaces', apt: 'util-linux', dnf: 'util-linux' },
  { name: 'setpriv', use: 'drops privileges', apt: 'util-linux', dnf: 'util-linux' },
  { name: 'setsid', use: 'gives exec sessions a terminal', apt: 'util-linux', dnf: 'util-linux' },
  { name: 'mount', use: 'mounts volumes', apt: 'mount', dnf: 'util-linux' },
  { name: 'ip', use: 'sets up networks', apt: 'iproute2', dnf: 'iproute' },
  { name: 'iptables', use: 'routes services and redirects pods', apt: 'iptables', dnf: 'iptables-nft' },
  {
    name: 'iptables-restore',
    use: 'routes services and redirects pods',
    apt: 'iptables',
    dnf: 'iptables-nft',
  },
  { name: 'ipset', use: 'lets health probes into enrolled pods', apt: 'ipset', dnf: 'ipset' },
];

const cniPlugins = ['ptp', 'host-local', 'loopback'] as const;
const cniFolders = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'];

/** PATH with the folders an ordinary user's may lack. */
export function systemPath(env: NodeJS.ProcessEnv = process.env): string {
  const folders = (env['PATH'] ?? '').split(':').filter(Boolean);
  for (const folder of ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/bin'])
    if (!folders.includes(folder)) folders.push(folder);
  return folders.join(':');
}

/** The folder with the standard CNI plugins; undefined when they are not installed. */
export function findCniPlugins(folders: readonly string[] = cniFolders): string | undefined {
  return folders.find((folder) => cniPlugins.every((plugin) => existsSync(join(folder, plugin))));
}

export interface HostCheckOptions {
  /** Where programs are looked for; default {@link systemPath}. */
  readonly path?: string;
  /** Where CNI plugins are looked for. */
  readonly cniFolders?: readonly string[];
}

/** Everything the sandbox needs and lacks here, with the command that helps. Starts nothing that stays. */
export async function checkHost(o: HostCheckOptions = {}): Promise<MissingPiece[]> {
  if (process.platform !== 'linux') {
    return [
      {
        piece: 'Linux',
        reason: `the sandbox uses Linux namespaces, and this is ${process.platform}`,
        fix: 'kind create cluster   # https://kind.sigs.k8s.io, then `meshctl install` on it',
      },
    ];
  }
  const missing = missingPrograms(o);
  if (missing.length > 0) return missing;
  const kernel = await checkKernel();
  return kernel === undefined ? [] : [kernel];
}

function missingPrograms(o: HostCheckOptions): MissingPiece[] {
  const path = (o.path ?? systemPath()).split(':');
  const lacking = programs.filter((p) => !path.some((folder) => isExecutable(join(folder, p.name))));
  const hasCni = findCniPlugins(o.cniFolders) !== undefined;
  const packages = new Set(lacking.map((p) => (isDebian() ? p.apt : p.dnf)));
  if (!hasCni) packages.add('containernetworking-plugins');
  const fix = installCommand([...packages]);
  const pieces = lacking.map((p) => ({ piece: p.name, reason: `${p.name} ${p.use}`, fix }));
  if (!hasCni) {
    pieces.push({
      piece: 'CNI plugins',
      reason: `the plugins ${cniPlugins.join(', ')} network the pods; looked in ${cniFolders.join(', ')}`,
      fix,
    });
  }
  return pieces;
}

/** One trial run of everything the kernel must allow, in namespaces that end with it. */
async function checkKernel(): Promise<MissingPiece | undefined> {
  const isRoot = process.getuid?.() === 0;
  const env = { PATH: systemPath() };
  const unshare = [
    ...(isRoot ? [] : ['--user', '--map-root-user']),
    '--net',
    '--mount',
    '--pid',
    '--uts',
    '--ipc',
    '--fork',
    '--kill-child',
    '--mount-proc',
  ];
  const namespaces = await run('unshare', [...unshare, '--', 'true'], { env });
  if (namespaces.exitCode !== 0) return namespaceProblem(isRoot, namespaces.stderr.trim());
  const script = [
    'set -e',
    'bwrap --unshare-pid --as-pid-1 --ro-bind / / --proc /proc --dev /dev -- true || { echo bwrap; exit 1; }',
    'mount -t tmpfs tmpfs /run || { echo mount; exit 1; }',
    'ip link add trial0 type veth peer name trial1 || { echo veth; exit 1; }',
    'ip link add trial2 type bridge || { echo bridge; exit 1; }',
    'iptables -w -t nat -A OUTPUT -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001 || { echo iptables-nat; exit 1; }',
    'iptables -w -t mangle -A OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark || { echo iptables-connmark; exit 1; }',
    'iptables -w -t nat -A POSTROUTING -m statistic --mode random --probability 0.5 -m comment --comment x -j MASQUERADE || { echo iptables-statistic; exit 1; }',
    'ipset create meshctl-check hash:ip || { echo ipset; exit 1; }',
  ].join('\n');
  const trial = await run('unshare', [...unshare, '--', 'sh', '-c', script], { env });
  if (trial.exitCode === 0) return undefined;
  return kernelProblem(trial.stdout.trim(), trial.stderr.trim());
}

function namespaceProblem(isRoot: boolean, evidence: string): MissingPiece {
  if (isRoot) {
    return {
      piece: 'namespaces',
      reason: `the kernel does not let root make namespaces: ${evidence}`,
      fix: 'docker run --privileged ...   # when this is a container',
    };
  }
  const knobs: readonly [file: string, bad: string, fix: string][] = [
    ['/proc/sys/kernel/unprivileged_userns_clone', '0', 'sudo sysctl -w kernel.unprivileged_userns_clone=1'],
    [
      '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
      '1',
      'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0',
    ],
    ['/proc/sys/user/max_user_namespaces', '0', 'sudo sysctl -w user.max_user_namespaces=28633'],
  ];
  const knob = knobs.find(([file, bad]) => readKnob(file) === bad);
  return {
    piece: 'user namespaces',
    reason: `the kernel does not let ordinary users make user namespaces: ${evidence}`,
    fix: knob?.[2] ?? 'sudo meshctl sandbox up   # as root no user namespace is needed',
  };
}

function kernelProblem(piece: string, evidence: string): MissingPiece {
  const modules: Readonly<Record<string, string>> = {
    veth: 'veth',
    bridge: 'bridge',
    ipset: 'ip_set_hash_ip',
    'iptables-nat': 'nft_chain_nat xt_REDIRECT xt_mark',
    'iptables-connmark': 'xt_connmark nft_compat',
    'iptables-statistic': 'xt_statistic xt_comment xt_MASQUERADE',
  };
  const module = modules[piece];
  return {
    piece: piece === '' ? 'kernel features' : piece,
    reason: `a trial run failed: ${evidence}`,
    fix:
      module === undefined
        ? 'docker run --privileged ...   # when this is a container; otherwise the evidence says what was refused'
        : `sudo modprobe -a ${module}`,
  };
}

function readKnob(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return undefined; // this kernel has no such knob
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function isDebian(): boolean {
  return existsSync('/usr/bin/apt-get');
}

function installCommand(packages: readonly string[]): string {
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  if (isDebian()) return `${sudo}apt-get update && ${sudo}apt-get install -y ${packages.join(' ')}`;
  return `${sudo}dnf install -y ${packages.join(' ')}`;
}
