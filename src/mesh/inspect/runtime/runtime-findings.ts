import type { Finding } from '../findings/finding.js';
import type { MeshObserver } from '../mesh-observer.js';
import { meshVersions } from '../mesh-versions.js';
import { authorityFindings } from './authority-findings.js';
import { clockFindings } from './clock-findings.js';
import { componentProblems } from './component-findings.js';
import { controllerFindings } from './controller-findings.js';
import { absenceOfMesh } from './mesh-presence.js';
import { nodeFindings, unreachableNode } from './node-findings.js';
import { silenceFindings } from './silence-findings.js';
import { trustFindings } from './trust-findings.js';
import { versionFindings } from './version-findings.js';

/** Which nodes are asked how they are. */
export interface RuntimeScope {
  /** Undefined: all. */
  readonly nodes?: readonly string[];
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/**
 * What is wrong with the mesh itself, whatever is asked of it: that there is none; nodes, components and whether they
 * answer, certificate authority, trust, versions, clocks. Not yet folded.
 */
export async function runtimeFindings(
  observer: MeshObserver,
  scope: RuntimeScope,
): Promise<readonly Finding[]> {
  const { client, meshNamespace } = observer;
  const inScope = (name: string): boolean => scope.nodes === undefined || scope.nodes.includes(name);
  const [absence, ...all] = await Promise.all([
    // Nobody waits for it: where there is no mesh, there is nobody to ask either.
    observer.once('absence', () => absenceOfMesh(client, meshNamespace)),
    findingsOfNodes(observer, { now: scope.now, inScope }),
    controllerFindings(observer),
    componentProblems(observer, 'cni'),
    componentProblems(observer, 'ztunnel'),
    observer.once('authority', () => authorityFindings(client, meshNamespace, scope.now)),
    silenceFindings(observer, scope.nodes),
    trustFindings(observer, scope.nodes?.[0]),
    // The versions of a mesh are no matter of a few nodes.
    scope.nodes === undefined
      ? meshVersions(observer).then((versions) => versionFindings(versions, meshNamespace))
      : [],
    nodeClocks(observer, inScope).then(clockFindings),
  ]);
  return absence === undefined ? all.flat() : [absence];
}

async function findingsOfNodes(
  observer: MeshObserver,
  of: { readonly now: number; readonly inScope: (name: string) => boolean },
): Promise<readonly Finding[]> {
  const [found, agents] = await Promise.all([observer.nodes(), observer.components('cni')]);
  const notReady = nodeFindings(
    found.filter(({ metadata }) => of.inScope(metadata.name)),
    of.now,
  );
  const known = new Set(notReady.map(({ subject }) => subject?.name));
  const asked = agents.map(({ spec }) => spec.nodeName ?? '').filter((n) => of.inScope(n) && !known.has(n));
  const silent = await Promise.all(
    asked.map(async (node) => {
      const seen = await observer.captures(node);
      return seen.value === undefined ? unreachableNode(node, seen.why) : undefined;
    }),
  );
  return [...notReady, ...silent.filter((finding) => finding !== undefined)];
}

async function nodeClocks(
  observer: MeshObserver,
  inScope: (node: string) => boolean,
): Promise<{ node: string; aheadMs: number }[]> {
  const agents = await observer.components('cni');
  const names = agents.map(({ spec }) => spec.nodeName ?? '').filter(inScope);
  const reports = await Promise.all(
    names.map(async (node) => ({ node, aheadMs: (await observer.captures(node)).value?.clockAheadMs })),
  );
  return reports.flatMap(({ node, aheadMs }) => (aheadMs === undefined ? [] : [{ node, aheadMs }]));
}
