import { isForbidden } from '#base/kube/api-error.js';
import { nodes as nodeResource } from '#base/kube/resource.js';
import type { Node } from '#base/kube/types.js';
import type { Finding } from '../findings/finding.js';
import type { MeshObserver } from '../mesh-observer.js';
import { meshVersions } from '../mesh-versions.js';
import { authorityFindings } from './authority-findings.js';
import { clockFindings } from './clock-findings.js';
import { componentFindings } from './component-findings.js';
import { absenceOfMesh } from './mesh-presence.js';
import { nodeFindings } from './node-findings.js';
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
 * What is wrong with the mesh itself, whatever is asked of it: that there is none; nodes, components, certificate
 * authority, trust, versions, clocks. Not yet folded.
 */
export async function runtimeFindings(
  observer: MeshObserver,
  scope: RuntimeScope,
): Promise<readonly Finding[]> {
  const { client, meshNamespace } = observer;
  const absence = await absenceOfMesh(client, meshNamespace);
  if (absence !== undefined) return [absence];
  const inScope = (name: string): boolean => scope.nodes === undefined || scope.nodes.includes(name);
  const all = await Promise.all([
    listNodes(observer).then((found) =>
      nodeFindings(
        found.filter(({ metadata }) => inScope(metadata.name)),
        scope.now,
      ),
    ),
    componentFindings(client, meshNamespace),
    authorityFindings(client, meshNamespace, scope.now),
    trustFindings(observer),
    meshVersions(observer).then((versions) => versionFindings(versions, meshNamespace)),
    nodeClocks(observer).then(clockFindings),
  ]);
  return all.flat();
}

async function listNodes({ client }: MeshObserver): Promise<readonly Node[]> {
  try {
    return await client.list<Node>(nodeResource);
  } catch (error) {
    // What a tenant is not told of nodes, the components on them show.
    if (isForbidden(error)) return [];
    throw error;
  }
}

async function nodeClocks(observer: MeshObserver): Promise<{ node: string; aheadMs: number }[]> {
  const agents = await observer.components('cni');
  const reports = await Promise.all(
    agents.map(async ({ spec }) => {
      const node = spec.nodeName ?? '';
      return { node, aheadMs: (await observer.captures(node)).value?.clockAheadMs };
    }),
  );
  return reports.flatMap(({ node, aheadMs }) => (aheadMs === undefined ? [] : [{ node, aheadMs }]));
}
