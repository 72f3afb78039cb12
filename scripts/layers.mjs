// Fails when an import points up the list of parts (docs/architecture.md), when
// a data-plane part reaches a sibling, or when a call that belongs to one part
// (terminal output, child processes, FFI) appears in another.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** Top to bottom: a part imports only parts below it. */
const parts = [
  'cli',
  'install',
  'inspect',
  'controller',
  'ztunnel',
  'waypoint',
  'cni',
  'sandbox',
  'hbone',
  'policy',
  'identity',
  'xds',
  'telemetry',
  'kube',
  'system',
  'errors',
];
const dataPlane = ['ztunnel', 'waypoint', 'cni'];
/** Parts the sandbox may use: it reaches the mesh only through manifests and images. */
const sandboxMayUse = ['telemetry', 'kube', 'system', 'errors'];

/** Node modules that only some parts may load. */
const restricted = {
  koffi: ['system'],
  'node:child_process': ['system', 'cni', 'sandbox', 'cli'],
  execa: ['system', 'cni', 'sandbox', 'cli'],
};

const files = readdirSync('src', { recursive: true })
  .map(String)
  .filter((f) => f.endsWith('.ts') && !f.startsWith('xds/gen'))
  .map((f) => join('src', f));
const problems = [];

for (const file of files) {
  const part = relative('src', file).split('/')[0];
  if (!parts.includes(part)) problems.push(`${file}: src/${part} is not a part named in scripts/layers.mjs`);
  const text = readFileSync(file, 'utf8');
  for (const [, spec] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
    if (restricted[spec] && !restricted[spec].includes(part)) {
      problems.push(`${file}: ${spec} may only be used in ${restricted[spec].join(', ')}`);
    }
    if (!spec.startsWith('.') || spec.endsWith('.json')) continue;
    const target = relative(resolve('src'), resolve(dirname(file), spec)).split('/')[0];
    if (target === part) continue;
    if (parts.indexOf(target) < parts.indexOf(part))
      problems.push(`${file}: ${part} may not import ${target} (arrow up)`);
    if (dataPlane.includes(part) && dataPlane.includes(target))
      problems.push(`${file}: ${part} may not import its sibling ${target}`);
    if (dataPlane.includes(part) && target === 'sandbox')
      problems.push(`${file}: ${part} may not import sandbox`);
    if (part === 'sandbox' && !sandboxMayUse.includes(target))
      problems.push(`${file}: sandbox may not import ${target}`);
  }
  if (part !== 'cli' && /\bprocess\.(exit\(|argv\b)|\bconsole\./.test(text)) {
    problems.push(`${file}: process.exit, process.argv and console belong to bin/ and src/cli`);
  }
}
for (const p of problems) console.error(p);
console.log(
  problems.length === 0
    ? `layers: ${files.length} files, every arrow points down`
    : `layers: ${problems.length} problems`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
