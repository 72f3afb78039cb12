import { readFileSync } from 'node:fs';
import { rename, writeFile } from 'node:fs/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import { nodesMax } from '../sandbox-config.js';

/** A node as its owner wants it; kept over restarts of the sandbox. */
export interface NodeSpec {
  readonly name: string;
  /** Its place in the network plan; never changes while the node exists. */
  readonly index: number;
  readonly isPoweredOn: boolean;
  readonly isConnected: boolean;
}

const namePattern = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/** The nodes written at `path`; empty when there is no such file. Throws MESH0814 when it cannot be read. */
export function readNodeList(path: string): readonly NodeSpec[] {
  try {
    // Written by writeNodeList in this very shape.
    return (JSON.parse(readFileSync(path, 'utf8')) as { nodes: NodeSpec[] }).nodes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw new MeshError('MESH0814', `the list of nodes ${path} cannot be read`, {
      evidence: String(error),
      cause: error,
    });
  }
}

export async function writeNodeList(path: string, nodes: readonly NodeSpec[]): Promise<void> {
  const temporary = `${path}.new`;
  await writeFile(temporary, `${JSON.stringify({ nodes }, undefined, 2)}\n`, { mode: 0o600 });
  await rename(temporary, path);
}

/**
 * Nodes to add to those that are there: the named ones, then `count` with names of their own. A node called
 * `node-N` gets slot N when that is free. Throws MESH0800 (bad name or number) or MESH0813 (taken, no room).
 */
export function planNodes(
  present: readonly NodeSpec[],
  { names = [], count = 0 }: { readonly names?: readonly string[]; readonly count?: number },
): NodeSpec[] {
  if (!Number.isInteger(count) || count < 0 || (count === 0 && names.length === 0))
    throw new MeshError('MESH0800', `${count} is not a number of nodes to add`);
  if (present.length + names.length + count > nodesMax)
    throw new MeshError(
      'MESH0813',
      `a sandbox has at most ${nodesMax} nodes, and this one has ${present.length}`,
    );
  const all = [...present];
  const add = (name: string): void => {
    const index = freeIndex(all, name);
    all.push({ name, index, isPoweredOn: true, isConnected: true });
  };
  for (const name of names) {
    if (!namePattern.test(name))
      throw new MeshError('MESH0800', `"${name}" cannot be the name of a node`, {
        hint: 'Use lower-case letters, digits and dashes, at most 63.',
      });
    if (all.some((node) => node.name === name))
      throw new MeshError('MESH0813', `there is a node ${name} already`);
    add(name);
  }
  for (let added = 0; added < count; added++) add(freeName(all));
  return all.slice(present.length);
}

function freeIndex(taken: readonly NodeSpec[], name: string): number {
  const isFree = (index: number): boolean =>
    index >= 1 && index <= nodesMax && !taken.some((node) => node.index === index);
  const own = Number(/^node-([1-9]\d?)$/.exec(name)?.[1]);
  if (isFree(own)) return own;
  // From the end, so that names that count up keep their own numbers.
  for (let index = nodesMax; index >= 1; index--) if (isFree(index)) return index;
  throw new MeshError('MESH0813', `a sandbox has at most ${nodesMax} nodes`);
}

/** The lowest `node-N` that is no node, with its own slot if there is such a one. */
function freeName(taken: readonly NodeSpec[]): string {
  const numbers = Array.from({ length: nodesMax }, (_, i) => i + 1);
  const isNameFree = (n: number): boolean => !taken.some((node) => node.name === `node-${n}`);
  const hasOwnSlot = (n: number): boolean => !taken.some((node) => node.index === n);
  const number = numbers.find((n) => isNameFree(n) && hasOwnSlot(n)) ?? numbers.find(isNameFree) ?? 0;
  return `node-${number}`;
}
