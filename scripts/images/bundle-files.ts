import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FileTree } from './file-tree.js';

/** Where the package lies in an image. */
const home = 'opt/meshctl';
/** What programs read beside the bundle. */
const beside: Readonly<Record<string, readonly string[]>> = {
  'meshd.js': ['templates.json'],
  'mesh-cni.js': ['istio-cni.sh'],
};
const koffi = 'node_modules/koffi';
const koffiFiles = /\.(js|cjs|json)$|^LICENSE/;

/** What of this package one program runs: its chunks of the bundle and no others. */
export interface ProgramFiles {
  readonly tree: FileTree;
  /** npm packages that are bundled, or come with it. */
  readonly packages: readonly string[];
}

/** The files of `bin/PROGRAM`. `dist` must be built. */
export function programFiles(program: string): ProgramFiles {
  const tree = new FileTree();
  tree.addFile(`${home}/package.json`, JSON.stringify(packageFields()));
  tree.addFile(`${home}/LICENSE`, readFileSync('LICENSE'));
  tree.addFile(`${home}/bin/${program}`, readFileSync(join('bin', program)), 0o755);
  const chunks = chunksOf(program);
  for (const name of [...chunks, ...(beside[program] ?? [])])
    tree.addFile(`${home}/dist/${name}`, readFileSync(join('dist', name)));
  // The binding to the C library is no part of the bundle.
  for (const name of readdirSync(koffi, { recursive: true, encoding: 'utf8' })) {
    if (!koffiFiles.test(name) || /^(vendor|doc|lib)\//.test(name) || name.startsWith('cnoke')) continue;
    tree.addFile(`${home}/${koffi}/${name}`, readFileSync(join(koffi, name)));
  }
  return { tree, packages: [...bundledPackages(chunks), 'koffi'].sort() };
}

/** Where the native half of koffi has to be. */
export function koffiBinaryPath(packageName: string): string {
  return `${home}/node_modules/${packageName}`;
}

function packageFields(): Record<string, unknown> {
  const { name, version, type, license } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
    string,
    unknown
  >;
  return { name, version, type, license };
}

/** An entry of the bundle with all that it imports, at once or later. */
function chunksOf(entry: string): string[] {
  const found = new Set<string>();
  const queue = [entry];
  for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
    if (found.has(name)) continue;
    found.add(name);
    const text = readFileSync(join('dist', name), 'utf8');
    for (const [, chunk] of text.matchAll(/(?:from|import)\s*\(?\s*["']\.\/([\w.-]+\.js)["']/g))
      if (chunk !== undefined) queue.push(chunk);
  }
  return [...found].sort();
}

/** The npm packages whose code is in chunks, as their source maps have it. */
function bundledPackages(chunks: readonly string[]): Set<string> {
  const packages = new Set<string>();
  for (const chunk of chunks) {
    const { sources } = JSON.parse(readFileSync(join('dist', `${chunk}.map`), 'utf8')) as {
      sources: string[];
    };
    for (const source of sources) {
      const [, name] = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(source) ?? [];
      if (name !== undefined) packages.add(name);
    }
  }
  return packages;
}
