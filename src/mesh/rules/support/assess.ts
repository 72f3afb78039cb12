import { isDeepStrictEqual } from 'node:util';
import type { SupportJson, Support, SupportTable } from './support.js';

/** Something written that is not honored. */
export interface Unhonored {
  /** As the user writes it: `meshConfig.extensionProviders[0]`. */
  readonly path: string;
  readonly value: SupportJson;
  readonly treatment: 'refused' | 'ignored';
  /** What is missing, and what to do instead. */
  readonly why: string;
}

interface Node {
  row: Support | undefined;
  readonly below: Map<string, Node>;
}

const trees = new WeakMap<SupportTable, Node>();

/** The row that speaks for a path (pattern names: `[]` for an element, `*` for a map key); undefined when none does. */
export function supportAt(table: SupportTable, path: string): Support | undefined {
  let node: Node | undefined = treeOf(table);
  let covering = node.row;
  for (const name of namesOf(path)) {
    node = node === undefined ? undefined : childOf(node, name);
    if (node?.row !== undefined) covering = node.row;
    else if (covering !== undefined && !speaksForAllBelow(covering)) covering = undefined;
  }
  return covering;
}

/** Everything in `root` that the table refuses or ignores, and what it does not know. `at` stands before each path. */
export function unhonoredIn(table: SupportTable, root: SupportJson, at = ''): readonly Unhonored[] {
  const found: Unhonored[] = [];
  visit({ value: root, path: at, node: treeOf(table), covering: undefined }, found);
  return found;
}

function visit(
  here: { value: SupportJson; path: string; node: Node | undefined; covering: Support | undefined },
  found: Unhonored[],
): void {
  const { value, path, node } = here;
  if (value === null) return;
  const row = node?.row ?? here.covering;
  const hasRowsBelow = node !== undefined && node.below.size > 0;
  if (row !== undefined && row.treatment !== 'honored') {
    if (row.harmless?.some((harmless) => isDeepStrictEqual(harmless, value)) === true) return;
    if (!hasRowsBelow || typeof value !== 'object') {
      if (!isEmpty(value)) {
        found.push({ path, value, treatment: row.treatment, why: row.why ?? 'it is not supported' });
      }
      return;
    }
  } else if (row?.isWhole === true) {
    return;
  }
  if (typeof value !== 'object') {
    if (row === undefined)
      found.push({ path, value, treatment: 'ignored', why: 'this version does not know it' });
    return;
  }
  const covering = row !== undefined && speaksForAllBelow(row) ? row : undefined;
  const entries: readonly (readonly [string, string, SupportJson])[] = Array.isArray(value)
    ? (value as readonly SupportJson[]).map((item, index) => ['[]', `${path}[${index}]`, item])
    : Object.entries(value).map(([key, item]) => [key, joined(path, key), item]);
  for (const [name, below, item] of entries) {
    const next = node === undefined ? undefined : childOf(node, name);
    visit({ value: item, path: below, node: next, covering }, found);
  }
}

/** The node of a name: its own, that of a prefix such as `CA_HEADER_*`, or that of any key. */
function childOf(node: Node, name: string): Node | undefined {
  const own = node.below.get(name);
  if (own !== undefined || name === '[]') return own;
  const prefix = [...node.below.keys()]
    .filter((key) => key.endsWith('*') && name.startsWith(key.slice(0, -1)))
    .toSorted((a, b) => b.length - a.length)[0];
  return prefix === undefined ? undefined : node.below.get(prefix);
}

function speaksForAllBelow(row: Support): boolean {
  return row.treatment !== 'honored' || row.isWhole === true;
}

/** Nothing is asked for by an empty list or map. */
function isEmpty(value: SupportJson): boolean {
  return typeof value === 'object' && value !== null && Object.keys(value).length === 0;
}

/** Keys with dots, such as labels, are escaped as `--set` takes them. */
function joined(path: string, key: string): string {
  const name = key.replaceAll('.', '\\.');
  return path === '' ? name : `${path}.${name}`;
}

function treeOf(table: SupportTable): Node {
  const known = trees.get(table);
  if (known !== undefined) return known;
  const root: Node = { row: undefined, below: new Map() };
  for (const [path, row] of Object.entries(table)) {
    let node = root;
    for (const name of namesOf(path)) {
      const next = node.below.get(name) ?? { row: undefined, below: new Map<string, Node>() };
      node.below.set(name, next);
      node = next;
    }
    node.row = row;
  }
  trees.set(table, root);
  return root;
}

/** `a.b[].c` as a, b, [], c. */
function namesOf(path: string): readonly string[] {
  return path === ''
    ? []
    : path
        .replaceAll('[]', '.[]')
        .split('.')
        .filter((name) => name !== '');
}
