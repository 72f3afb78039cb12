// Bundles every process entry into dist/. Code that only one command or one
// process needs stays in its own chunk, loaded when that code runs.
import { rm } from 'node:fs/promises';
import { build } from 'esbuild';

/** Output name in dist/ -> entry module. */
const entries = {
  meshctl: 'src/cli/main.ts',
  meshd: 'src/controller/main.ts',
  ztunnel: 'src/ztunnel/main.ts',
  waypoint: 'src/waypoint/main.ts',
  'mesh-cni': 'src/cni/main.ts',
  sandbox: 'src/sandbox/main.ts',
  tool: 'src/sandbox/tool/main.ts',
  quickstart: 'scripts/quickstart.ts',
};

await rm('dist', { recursive: true, force: true });
await build({
  entryPoints: Object.entries(entries).map(([out, entry]) => ({ in: entry, out })),
  outdir: 'dist',
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

// The CNI plugin runs once for each pod, copied to nodes that have nothing but it and an
// interpreter: one file, only Node's own modules. CommonJS, because it loads faster.
await build({
  entryPoints: { 'istio-cni': 'src/cni/plugin/main.ts' },
  outdir: 'dist',
  outExtension: { '.js': '.cjs' },
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  logLevel: 'warning',
});
