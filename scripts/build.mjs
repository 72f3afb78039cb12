// Bundles every process entry into dist/. Code that only one command or one
// process needs stays in its own chunk, loaded when that code runs.
import { chmod, copyFile, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { rmSync } from 'node:fs';
import { build } from 'esbuild';
import { parseAllDocuments } from 'yaml';

/** Output name in dist/ -> entry module. */
const entries = {
  meshctl: 'src/cli/main.ts',
  meshd: 'src/mesh/controller/main.ts',
  ztunnel: 'src/mesh/ztunnel/main.ts',
  gateway: 'src/mesh/gateway/main.ts',
  'mesh-cni': 'src/mesh/cni/main.ts',
  sandbox: 'src/sandbox/main.ts',
  tool: 'src/sandbox/tool/main.ts',
  quickstart: 'scripts/quickstart.ts',
  docs: 'scripts/docs.ts',
  images: 'scripts/images.ts',
  bench: 'scripts/bench.ts',
  'bench-controller': 'scripts/bench/controller/controller-process.ts',
};

// Into a folder of its own, renamed when whole: a failed build leaves the last good one in place.
const staging = await mkdtemp('.dist-');
process.on('exit', () => rmSync(staging, { recursive: true, force: true }));
await build({
  entryPoints: Object.entries(entries).map(([out, entry]) => ({ in: entry, out })),
  outdir: staging,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  sourcemap: 'linked',
  external: ['koffi'],
  // CommonJS dependencies expect these three.
  banner: {
    js: "import{createRequire as __cr}from'node:module';import{fileURLToPath as __fu}from'node:url';import{dirname as __dn}from'node:path';const require=__cr(import.meta.url);const __filename=__fu(import.meta.url);const __dirname=__dn(__filename);",
  },
  logLevel: 'warning',
});

// The CNI plugin is a shell script that the agent fills in and puts on its node.
await copyFile('src/mesh/cni/plugin/istio-cni.sh', `${staging}/istio-cni.sh`);

// Installation templates as JSON, beside the bundle: parsing the CRDs as YAML would cost every install a second.
const templates = {};
for (const name of (await readdir('templates', { recursive: true })).sort()) {
  if (!/\.ya?ml$/.test(name)) continue;
  const documents = parseAllDocuments(await readFile(`templates/${name}`, 'utf8'));
  for (const { errors } of documents)
    if (errors.length > 0) throw new Error(`templates/${name}: ${errors[0].message}`);
  templates[name] = documents.map((d) => d.toJS({ maxAliasCount: 1_000 }));
}
await writeFile(`${staging}/templates.json`, JSON.stringify(templates));
await rm('dist', { recursive: true, force: true });
await chmod(staging, 0o755);
await rename(staging, 'dist');
