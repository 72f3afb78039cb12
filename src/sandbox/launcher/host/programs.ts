import { accessSync, constants, existsSync } from 'node:fs';
import { join } from 'node:path';
import { installCommand, type PackageManager } from './distribution.js';
import type { MissingPiece } from './missing-piece.js';

/** What a program is called by the package managers. */
export type Packages = Readonly<Record<PackageManager, string>>;

function everywhere(name: string, others: Partial<Packages> = {}): Packages {
  return { apt: name, dnf: name, zypper: name, pacman: name, apk: name, ...others };
}

const utilLinux = everywhere('util-linux');
const iptables = everywhere('iptables', { dnf: 'iptables-nft', pacman: 'iptables-nft' });
const cniPackages = everywhere('containernetworking-plugins', {
  zypper: 'cni-plugins',
  pacman: 'cni-plugins',
  apk: 'cni-plugins',
});

/** Programs of the machine by name: what each is for, and what brings it. */
export type HostPrograms = Readonly<Record<string, { readonly use: string; readonly packages: Packages }>>;

const programs: HostPrograms = {
  bwrap: { use: 'runs containers', packages: everywhere('bubblewrap') },
  unshare: { use: 'makes namespaces', packages: utilLinux },
  nsenter: { use: 'enters namespaces', packages: utilLinux },
  setpriv: { use: 'drops privileges', packages: everywhere('util-linux', { apk: 'setpriv' }) },
  setsid: { use: 'gives exec sessions a terminal', packages: utilLinux },
  mount: { use: 'mounts volumes', packages: everywhere('util-linux', { apt: 'mount' }) },
  ip: { use: 'sets up networks', packages: everywhere('iproute2', { dnf: 'iproute' }) },
  iptables: { use: 'routes services and redirects pods', packages: iptables },
  'iptables-save': { use: 'reads those rules back', packages: iptables },
  'iptables-restore': { use: 'writes those rules at once', packages: iptables },
  ipset: { use: 'holds the addresses of network policies and probes', packages: everywhere('ipset') },
};

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

export interface ProgramSearch {
  /** Where programs are looked for; default {@link systemPath}. */
  readonly path?: string;
  /** Where CNI plugins are looked for. */
  readonly cniFolders?: readonly string[];
  /** What is needed besides the sandbox's own programs. */
  readonly programs?: HostPrograms | undefined;
}

/** The programs that are not installed, each with the one command that installs all of them. */
export function missingPrograms(o: ProgramSearch = {}): MissingPiece[] {
  const path = (o.path ?? systemPath()).split(':');
  const lacking = Object.entries({ ...programs, ...o.programs }).filter(
    ([name]) => !path.some((folder) => isExecutable(join(folder, name))),
  );
  const hasCni = findCniPlugins(o.cniFolders) !== undefined;
  const packages = [...lacking.map(([, program]) => program.packages), ...(hasCni ? [] : [cniPackages])];
  if (packages.length === 0) return [];
  const fix = installCommand(packages);
  const pieces = lacking.map(([name, { use }]) => ({ piece: name, reason: `${name} ${use}`, fix }));
  if (hasCni) return pieces;
  const reason = `the plugins ${cniPlugins.join(', ')} network the pods; looked in ${(o.cniFolders ?? cniFolders).join(', ')}`;
  return [...pieces, { piece: 'CNI plugins', reason, fix }];
}

/** For an iptables that lacks a part of itself. */
export function reinstallIptables(): string {
  return `${installCommand([iptables])}   # again: a part of it is missing`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
