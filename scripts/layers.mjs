// Fails when an import points up the list of parts (docs/architecture.md), when files or folders import each other in
// a circle, when a data-plane part reaches a sibling, or when a call that belongs to one part (terminal output, child
// processes, FFI) appears in another.
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** The four parts, and what each may import. */
const parts = {
  cli: ['mesh', 'sandbox', 'base'],
  mesh: ['base'],
  sandbox: ['base'],
  base: [],
};

/**
 * The floors of a folder, top to bottom: its children (folders, and files as they are written without `.ts`) import
 * only children of floors below their own, or beside them where the part allows it.
 */
const floors = {
  mesh: [
    ['install'],
    ['inspect'],
    ['controller', 'ztunnel', 'gateway', 'cni'],
    ['l7'],
    ['view'],
    ['hbone', 'policy', 'rules'],
    ['process'],
    ['identity', 'telemetry', 'templates'],
    ['xds', 'system'],
  ],
  'mesh/gateway': [
    ['main'],
    ['waypoint'],
    ['config'],
    ['admin'],
    ['listener'],
    ['http'],
    ['telemetry'],
    ['upstream'],
    ['connection'],
    ['error-codes'],
  ],
  'mesh/l7': [['layers'], ['route', 'codec'], ['message']],
  sandbox: [
    ['main'],
    ['launcher'],
    ['supervisor'],
    ['control-plane', 'cluster', 'node', 'capture'],
    ['apiserver', 'tool'],
    ['streaming'],
    ['base'],
    ['error-codes'],
  ],
  base: [['telemetry'], ['kube', 'oci'], ['system'], ['net', 'time', 'collections'], ['errors']],
};

/** Node modules that only some folders may load. */
const restricted = {
  koffi: ['base/system'],
  'node:child_process': ['base/system', 'mesh/cni', 'sandbox', 'cli'],
  execa: ['base/system', 'mesh/cni', 'sandbox', 'cli'],
};

const files = readdirSync('src', { recursive: true })
  .map(String)
  .filter((f) => f.endsWith('.ts') && !f.startsWith('mesh/xds/gen'));
const problems = [];
const imports = new Map();

for (const file of files) {
  const text = readFileSync(join('src', file), 'utf8');
  const [part] = file.split('/');
  if (!(part in parts))
    problems.push(`src/${file}: src/${part} is not one of ${Object.keys(parts).join(', ')}`);
  for (const [level, child] of levelsOf(file)) {
    if (level in floors && floorOf(level, child) === -1)
      problems.push(`src/${file}: ${level}/${child} has no floor in scripts/layers.mjs`);
  }
  const targets = new Set();
  for (const [, spec] of text.matchAll(/(?:from|import)\s*\(?\s*['"]([^'"]+)['"]/g)) {
    if (restricted[spec] && !restricted[spec].some((allowed) => `${file}/`.startsWith(`${allowed}/`)))
      problems.push(`src/${file}: ${spec} may only be used in ${restricted[spec].join(', ')}`);
    if (spec.endsWith('.json') || !/^[.#]/.test(spec)) continue;
    const target = (
      spec.startsWith('#') ? spec.slice(1) : relative('src', resolve('src', dirname(file), spec))
    ).replace(/\.js$/, '.ts');
    checkArrow(file, target);
    if (spec.startsWith('#') && target.split('/')[0] === part)
      problems.push(`src/${file}: inside ${part}, imports are relative: ${spec}`);
    targets.add(target);
  }
  imports.set(file, targets);
  if (part !== 'cli' && /\bprocess\.(exit\(|argv\b)|\bconsole\./.test(text))
    problems.push(`src/${file}: process.exit, process.argv and console belong to bin/ and src/cli`);
}

/** The folders a file is in, each with the child of it that leads to the file. */
function levelsOf(file) {
  const path = file.replace(/\.ts$/, '').split('/');
  return path.slice(1).map((child, depth) => [path.slice(0, depth + 1).join('/'), child]);
}

function floorOf(level, child) {
  return floors[level].findIndex((floor) => floor.includes(child));
}

function checkArrow(file, target) {
  const [part] = file.split('/');
  const [targetPart] = target.split('/');
  if (part !== targetPart) {
    if (!parts[part]?.includes(targetPart))
      problems.push(`src/${file}: ${part} may not import ${targetPart} (${target})`);
    return;
  }
  const targets = new Map(levelsOf(target));
  for (const [level, child] of levelsOf(file)) {
    const targetChild = targets.get(level);
    if (targetChild === undefined) return;
    if (!(level in floors) || child === targetChild) continue;
    const [from, to] = [floorOf(level, child), floorOf(level, targetChild)];
    if (to < from)
      problems.push(`src/${file}: ${level}/${child} may not import ${level}/${targetChild} (arrow up)`);
    const isProcess = floors[level][from]?.includes('ztunnel');
    if (to === from && isProcess)
      problems.push(`src/${file}: ${level}/${child} may not import its sibling ${level}/${targetChild}`);
  }
}

/** Strongly connected components of a graph (Tarjan), those of more than one member only. */
function circlesOf(graph) {
  const index = new Map();
  const low = new Map();
  const stack = [];
  const onStack = new Set();
  const found = [];
  const visit = (node) => {
    index.set(node, index.size);
    low.set(node, index.get(node));
    stack.push(node);
    onStack.add(node);
    for (const next of graph.get(node) ?? []) {
      if (!graph.has(next)) continue;
      if (!index.has(next)) visit(next);
      if (onStack.has(next)) low.set(node, Math.min(low.get(node), low.get(next)));
    }
    if (low.get(node) !== index.get(node)) return;
    const circle = [];
    let member;
    do {
      member = stack.pop();
      onStack.delete(member);
      circle.push(member);
    } while (member !== node);
    if (circle.length > 1) found.push(circle.toSorted((a, b) => a.localeCompare(b)));
  };
  for (const node of graph.keys()) if (!index.has(node)) visit(node);
  return found;
}

for (const circle of circlesOf(imports)) problems.push(`files import each other: ${circle.join(', ')}`);

// Folders, level by level: the children of one folder, with what they import of each other.
const levels = new Map();
for (const [file, targets] of imports) {
  for (const target of targets) {
    const [a, b] = [file.split('/'), target.split('/')];
    let depth = 0;
    while (depth < a.length && depth < b.length && a[depth] === b[depth]) depth++;
    // A file beside a folder is part of neither: only folders form circles.
    if (depth >= a.length - 1 || depth >= b.length - 1) continue;
    const level = a.slice(0, depth).join('/');
    const graph = levels.get(level) ?? new Map();
    levels.set(level, graph);
    for (const child of [a[depth], b[depth]]) if (!graph.has(child)) graph.set(child, new Set());
    graph.get(a[depth]).add(b[depth]);
  }
}
for (const [level, graph] of levels) {
  for (const circle of circlesOf(graph))
    problems.push(`folders of src/${level} import each other: ${circle.join(', ')}`);
}

for (const p of problems) console.error(p);
console.log(
  problems.length === 0
    ? `layers: ${files.length} files, every arrow points down, no circles`
    : `layers: ${problems.length} problems`,
);
process.exitCode = problems.length === 0 ? 0 : 1;
