import { existsSync, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { chmod, copyFile, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathInside } from './path-inside.js';

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

export interface NodeRootfsOptions {
  readonly name: string;
  /** Addresses of the node, for its /etc/hosts. */
  readonly ips: readonly string[];
  readonly cniPluginDir: string;
  readonly nameserver: string;
}

/**
 * Creates (or completes) the file system of a node in a folder on the host. Pods of an
 * earlier run may have put links there: they lead nowhere but inside the folder.
 */
export async function prepareNodeRootfs(root: string, o: NodeRootfsOptions): Promise<void> {
  const at = (path: string): Promise<string> => pathInside(root, path);
  for (const folder of emptyFolders) await mkdir(await at(folder), { recursive: true });
  for (const folder of ['tmp', 'var/tmp']) await chmod(await at(folder), 0o1777);
  // Relative, so that it also resolves for a reader that comes in through /proc/PID/root.
  await symlinkOnce('../run', join(await at('var'), 'run'));
  for (const name of usrNames) {
    if (!existsSync(`/${name}`)) continue;
    if (lstatSync(`/${name}`).isSymbolicLink()) {
      await symlinkOnce(readlinkSync(`/${name}`).replace(/^\//, ''), join(root, name));
    } else await mkdir(await at(name), { recursive: true });
  }
  for (const file of copiedEtcFiles) {
    if (existsSync(`/etc/${file}`)) await copyFile(`/etc/${file}`, await at(`etc/${file}`));
  }
  await writeFile(await at('etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');
  await writeFile(await at('etc/resolv.conf'), `nameserver ${o.nameserver}\n`);
  const hosts = ['127.0.0.1\tlocalhost', '::1\tlocalhost ip6-localhost ip6-loopback'];
  for (const ip of o.ips) hosts.push(`${ip}\t${o.name}`);
  await writeFile(await at('etc/hosts'), `${hosts.join('\n')}\n`);
  const plugins = await at('opt/cni/bin');
  for (const plugin of readdirSync(o.cniPluginDir))
    await symlinkOnce(join(o.cniPluginDir, plugin), join(plugins, plugin));
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
