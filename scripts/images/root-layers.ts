import { meshImages } from '../../src/cli/mesh-in-sandbox.js';
import { builtinScripts } from '../../src/sandbox/node/image/builtin-images.js';
import type { DebianPackages } from './debian.js';
import { koffiBinaryPath, programFiles } from './bundle-files.js';
import { machines, readElf, stripElf } from './elf.js';
import { FileTree } from './file-tree.js';
import { basePackages, type ImageDefinition, type PackageUse } from './image-list.js';
import { type Architecture, type ImageLock, nodeArchitectures } from './lock.js';
import type { NpmPackages } from './npm-packages.js';
import { unpackDeb, unpackNpm } from './unpack.js';

export interface LayerSources {
  readonly architecture: Architecture;
  readonly lock: ImageLock;
  readonly debian: DebianPackages;
  readonly npm: NpmPackages;
}

/** The layers of an image, lowest first, and the npm packages in them. */
export interface RootLayers {
  readonly layers: readonly FileTree[];
  readonly npmPackages: readonly string[];
}

const libraryFolders: Readonly<Record<Architecture, string>> = {
  amd64: 'usr/lib/x86_64-linux-gnu',
  arm64: 'usr/lib/aarch64-linux-gnu',
};

/** Users, groups and what else programs look up. */
export const etcFiles: Readonly<Record<string, string>> = {
  'etc/passwd':
    'root:x:0:0:root:/root:/usr/sbin/nologin\nmesh:x:1337:1337:mesh:/nonexistent:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
  'etc/group': 'root:x:0:\nmesh:x:1337:\nnogroup:x:65534:\n',
  'etc/nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
};

/** Libraries and Node.js: the same in every image of an architecture. */
export async function commonLayers(sources: LayerSources): Promise<readonly FileTree[]> {
  const base = new FileTree();
  for (const name of ['bin', 'sbin', 'lib', 'lib64']) base.addLink(name, `usr/${name}`);
  base.add('tmp', { kind: 'folder', mode: 0o1777 });
  for (const name of ['run', 'root', 'var/log', 'proc', 'sys', 'dev'])
    base.add(name, { kind: 'folder', mode: 0o755 });
  for (const [path, text] of Object.entries(etcFiles)) base.addFile(path, text);
  base.addFile('etc/debian_version', `${sources.lock.debian}\n`);
  base.addFile(
    'etc/os-release',
    `ID=debian\nVERSION_CODENAME=${sources.lock.debian}\nPRETTY_NAME="meshctl on Debian"\n`,
  );
  for (const use of basePackages) await addPackage(base, use, sources);
  return [base, await nodeLayer(sources)];
}

/** What one image has besides the {@link commonLayers}. Throws when a program would not find a library. */
export async function imageLayers(
  image: ImageDefinition,
  common: readonly FileTree[],
  sources: LayerSources,
): Promise<RootLayers> {
  const tools = new FileTree();
  for (const use of image.packages) await addPackage(tools, use, sources);
  for (const [path, target] of Object.entries(image.links ?? {})) tools.addLink(path, target);
  const [program = ''] = image.program;
  const { tree, packages } = programFiles(program);
  const native = `@koromix/koffi-linux-${nodeArchitectures[sources.architecture]}`;
  await addKoffi(tree, native, sources);
  if (image.command !== undefined)
    for (const [name, script] of Object.entries(builtinScripts(image.name, meshImages)))
      tree.addFile(`usr/local/bin/${name}`, `#!/bin/sh\n${script}\n`, 0o755);
  const layers = [...common, ...(image.packages.length === 0 ? [] : [tools]), tree];
  checkLibraries(layers, sources.architecture, image.name);
  return { layers, npmPackages: [...packages, native] };
}

async function nodeLayer({ architecture, lock, npm }: LayerSources): Promise<FileTree> {
  const name = `node-linux-${nodeArchitectures[architecture]}`;
  const content = await unpackNpm(await npm.file(name, locked(lock.npm, name)));
  const tree = new FileTree();
  const program = content.get('bin/node');
  const license = content.get('LICENSE');
  if (program?.kind !== 'file' || license?.kind !== 'file') throw new Error(`${name} holds no Node.js`);
  tree.addFile('usr/local/bin/node', stripElf(program.bytes), 0o755);
  tree.addFile('usr/share/doc/node/LICENSE', license.bytes);
  return tree;
}

async function addKoffi(tree: FileTree, name: string, { lock, npm }: LayerSources): Promise<void> {
  const content = await unpackNpm(await npm.file(name, locked(lock.npm, name)));
  for (const [path, entry] of content)
    if (entry.kind === 'file' && !path.startsWith('musl_'))
      tree.add(`${koffiBinaryPath(name)}/${path}`, entry);
}

/** Of a package its shared libraries, its license, and what the list names. */
async function addPackage(tree: FileTree, use: PackageUse, sources: LayerSources): Promise<void> {
  const { architecture, lock, debian } = sources;
  const wanted = locked(lock.packages[architecture], use.name);
  const content = await unpackDeb(await debian.file(use.name, wanted));
  const unused = new Set(use.files ?? []);
  for (const [path, entry] of content) {
    const named = use.files?.find((file) => path === file || path.startsWith(`${file}/`));
    if (named !== undefined) unused.delete(named);
    const isLibrary =
      path.startsWith('usr/lib/') && /\.so(\.|$)/.test(path) && !/\/(gconv|audit|tc)\//.test(path);
    const isLicense = path === `usr/share/doc/${use.name}/copyright` || /^usr\/share\/doc\/[^/]+$/.test(path);
    if (named !== undefined || isLibrary || (isLicense && entry.kind !== 'folder')) tree.add(path, entry);
  }
  // The loader of arm64 is in /lib, not in /lib64.
  unused.delete('usr/lib64');
  if (unused.size > 0) throw new Error(`${use.name} ${wanted.version} has no ${[...unused].join(', ')}`);
  // Where scanners look for what is installed in images without dpkg.
  tree.addFile(
    `var/lib/dpkg/status.d/${use.name}`,
    `Package: ${use.name}\nStatus: install ok installed\nArchitecture: ${architecture}\nVersion: ${wanted.version}\n`,
  );
}

function locked<T>(table: Readonly<Record<string, T>>, name: string): T {
  const found = table[name];
  if (found === undefined)
    throw new Error(`scripts/images/lock.json has no ${name}: npm run images -- --update-lock`);
  return found;
}

/** Every program finds its loader and libraries, of the right architecture: arm64 cannot be tried on this machine. */
function checkLibraries(layers: readonly FileTree[], architecture: Architecture, image: string): void {
  const problems: string[] = [];
  const has = (path: string): boolean => {
    const merged = path.replace(/^\/?(usr\/)?(lib|lib64|bin|sbin)(?=\/)/, 'usr/$2').replace(/^\//, '');
    return layers.some((layer) => layer.get(merged) !== undefined);
  };
  for (const layer of layers) {
    for (const [path, bytes] of layer.files()) {
      const elf = readElf(bytes);
      if (elf === undefined) continue;
      if (elf.machine !== machines[architecture]) problems.push(`${path} is for another architecture`);
      const loader = elf.interpreter;
      if (loader !== undefined && !has(loader)) problems.push(`${path} needs ${loader}`);
      for (const library of elf.libraries)
        if (!has(`${libraryFolders[architecture]}/${library}`) && !library.startsWith('ld-linux'))
          problems.push(`${path} needs ${library}`);
    }
  }
  if (problems.length > 0)
    throw new Error(`the image ${image} (${architecture}) is not whole:\n${problems.join('\n')}`);
}
