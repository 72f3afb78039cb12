import { existsSync, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Top-level names that are links into /usr on a merged-usr system and folders elsewhere. */
const usrNames = ['bin', 'sbin', 'lib', 'lib32', 'lib64'] as const;

/** What programs from the host's /usr expect to find in /etc. */
const copiedEtcFiles = [
  'passwd',
  'group',
  'ld.so.cache',
  'protocols',
  'services',
  'ethertypes',
  'os-release',
  'localtime',
];
const boundEtcFolders = ['/etc/alternatives', '/etc/ssl', '/etc/ca-certificates'];

const emptyFolders = [
  'dev',
  'proc',
  'run',
  'sys',
  'tmp',
  'root',
  'home',
  'mnt',
  'srv',
  'usr',
  'etc/cni/net.d',
  'opt/cni/bin',
  'var/lib/cni',
  'var/lib/kubelet/pods',
  'var/lib/containers',
  'var/lib/meshctl',
  'var/log/pods',
  'var/tmp',
];

/** Creates (or completes) the file system of a node in a folder on the host. */
export async function prepareNodeRootfs(
  root: string,
  options: { readonly cniPluginDir: string; readonly nameserver: string },
): Promise<void> {
  for (const folder of emptyFolders) await mkdir(join(root, folder), { recursive: true });
  // Relative, so that it also resolves for a reader that comes in through /proc/PID/root.
  await symlinkOnce('../run', join(root, 'var/run'));
  for (const name of usrNames) {
    if (!existsSync(`/${name}`)) continue;
    if (lstatSync(`/${name}`).isSymbolicLink()) {
      await symlinkOnce(readlinkSync(`/${name}`).replace(/^\//, ''), join(root, name));
    } else await mkdir(join(root, name), { recursive: true });
  }
  for (const file of copiedEtcFiles) {
    if (existsSync(`/etc/${file}`)) await copyFile(`/etc/${file}`, join(root, 'etc', file));
  }
  await writeFile(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');
  await writeFile(join(root, 'etc/resolv.conf'), `nameserver ${options.nameserver}\n`);
  for (const plugin of readdirSync(options.cniPluginDir)) {
    await symlinkOnce(join(options.cniPluginDir, plugin), join(root, 'opt/cni/bin', plugin));
  }
}

/** bubblewrap arguments that show the host's programs, read-only, below `/`. */
export function hostProgramArgs(): string[] {
  const args = ['--ro-bind', '/usr', '/usr'];
  for (const name of usrNames) {
    if (existsSync(`/${name}`) && !lstatSync(`/${name}`).isSymbolicLink())
      args.push('--ro-bind', `/${name}`, `/${name}`);
  }
  for (const folder of boundEtcFolders) args.push('--ro-bind-try', folder, folder);
  return args;
}

/** The links of a merged-usr system, for a file system made from scratch: `[name, target]`. */
export function usrLinks(): [name: string, target: string][] {
  return usrNames
    .filter((name) => existsSync(`/${name}`) && lstatSync(`/${name}`).isSymbolicLink())
    .map((name) => [name, readlinkSync(`/${name}`).replace(/^\//, '')]);
}

async function symlinkOnce(target: string, path: string): Promise<void> {
  await rm(path, { force: true });
  await symlink(target, path);
}
