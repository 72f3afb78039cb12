import { readFileSync } from 'node:fs';

/** Families of Linux distributions, by their package manager. */
export type PackageManager = 'apt' | 'dnf' | 'zypper' | 'pacman' | 'apk';

/** Name in os-release (ID, ID_LIKE) -> package manager. */
const managers: Readonly<Record<string, PackageManager>> = {
  debian: 'apt',
  ubuntu: 'apt',
  fedora: 'dnf',
  rhel: 'dnf',
  centos: 'dnf',
  suse: 'zypper',
  opensuse: 'zypper',
  arch: 'pacman',
  alpine: 'apk',
};

const installCommands: Readonly<Record<PackageManager, (packages: string, sudo: string) => string>> = {
  apt: (packages, sudo) => `${sudo}apt-get update && ${sudo}apt-get install -y ${packages}`,
  dnf: (packages, sudo) => `${sudo}dnf install -y ${packages}`,
  zypper: (packages, sudo) => `${sudo}zypper install -y ${packages}`,
  pacman: (packages, sudo) => `${sudo}pacman -S --needed ${packages}`,
  apk: (packages, sudo) => `${sudo}apk add ${packages}`,
};

/** This machine's package manager, if its distribution is known. */
export function packageManager(osRelease = readOsRelease()): PackageManager | 'unknown' {
  const value = (key: string): string =>
    new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(osRelease)?.[1]?.toLowerCase() ?? '';
  const names = `${value('ID')} ${value('ID_LIKE')}`.split(/[\s-]+/);
  return names.map((name) => managers[name]).find((manager) => manager !== undefined) ?? 'unknown';
}

/** The command that installs packages, which may have other names elsewhere. */
export function installCommand(
  packages: readonly Readonly<Record<PackageManager, string>>[],
  manager: PackageManager | 'unknown' = packageManager(),
): string {
  const sudo = process.getuid?.() === 0 ? '' : 'sudo ';
  const names = (of: PackageManager): string => [...new Set(packages.map((p) => p[of]))].join(' ');
  if (manager !== 'unknown') return installCommands[manager](names(manager), sudo);
  return `install these with your package manager (Debian's names): ${names('apt')}`;
}

function readOsRelease(): string {
  try {
    return readFileSync('/etc/os-release', 'utf8');
  } catch {
    return ''; // minimal systems have none
  }
}
