import { readFileSync } from 'node:fs';
import { DebianPackages, debianRelease } from './debian.js';
import { basePackages, imageDefinitions } from './image-list.js';
import { architectures, nodeArchitectures, type ImageLock, type LockedPackage, writeLock } from './lock.js';
import { NpmPackages } from './npm-packages.js';

/** The line of Node.js that has long-term support and is current. */
const nodeRange = '24';

/** Writes a lock of the newest packages that this machine's apt sources and npm have. */
export async function updateLock(cache: string): Promise<void> {
  const npm = new NpmPackages(cache);
  const lockedModules = (
    JSON.parse(readFileSync('package-lock.json', 'utf8')) as {
      packages: Readonly<Record<string, { version?: string; integrity?: string }>>;
    }
  ).packages;
  const names = [
    ...new Set([...basePackages, ...imageDefinitions.flatMap((i) => i.packages)].map((p) => p.name)),
  ].sort();
  const packages: Record<string, Record<string, LockedPackage>> = {};
  const modules: Record<string, { version: string; integrity: string }> = {};
  const nodeVersion = await newestNode(npm);
  for (const architecture of architectures) {
    packages[architecture] = await new DebianPackages(architecture, cache).newest(names);
    const node = `node-linux-${nodeArchitectures[architecture]}`;
    modules[node] = { version: nodeVersion, integrity: await npm.integrity(node, nodeVersion) };
    // As the bundle's own dependencies have it.
    const koffi = `@koromix/koffi-linux-${nodeArchitectures[architecture]}`;
    const { version = '', integrity = '' } = lockedModules[`node_modules/${koffi}`] ?? {};
    modules[koffi] = { version, integrity };
  }
  writeLock({ debian: debianRelease(), packages: packages as ImageLock['packages'], npm: modules });
}

/** The newest version that every architecture has. */
async function newestNode(npm: NpmPackages): Promise<string> {
  const lists = await Promise.all(
    architectures.map((architecture) =>
      npm.versions(`node-linux-${nodeArchitectures[architecture]}`, nodeRange),
    ),
  );
  const [first = [], ...others] = lists;
  const common = first.filter((version) => others.every((list) => list.includes(version)));
  const newest = common.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  if (newest === undefined) throw new Error(`npm has no Node.js ${nodeRange} for all architectures`);
  return newest;
}
