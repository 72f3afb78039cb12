import { messageOf } from '../../errors/mesh-error.js';
import { KubeApiError } from '../../kube/api-error.js';
import type { KubeClient } from '../../kube/client.js';
import { daemonSets, nodes } from '../../kube/resource.js';
import type { DaemonSet, KubeObject, NodeSelectorTerm, PodSpec } from '../../kube/types.js';

/** Whether the agent, on its way out, leaves the node as it is or takes the plugin away, and why. */
export interface Departure {
  readonly uninstall: boolean;
  readonly reason: string;
}

/** Decides by what the API server says about the agent's own DaemonSet (reference/ztunnel-and-cni.md 7.9). */
export async function decideDeparture(
  client: KubeClient,
  o: {
    readonly namespace: string;
    readonly daemonSet: string;
    readonly nodeName: string;
    readonly disableSafeUpgrade: boolean;
  },
): Promise<Departure> {
  if (o.disableSafeUpgrade) return { uninstall: true, reason: 'AMBIENT_DISABLE_SAFE_UPGRADE is set' };
  let daemonSet: DaemonSet;
  try {
    daemonSet = await client.get<DaemonSet>({
      resource: daemonSets,
      namespace: o.namespace,
      name: o.daemonSet,
    });
  } catch (error) {
    if (error instanceof KubeApiError && error.status === 404) {
      return { uninstall: true, reason: 'the DaemonSet is gone' };
    }
    if (error instanceof KubeApiError && (error.status === 401 || error.status === 403)) {
      return { uninstall: true, reason: 'the service account or its permissions are gone' };
    }
    // Upstream cleans up here too. We do not: while the API server is out of reach nobody says that the
    // mesh is going, and taking the plugin away would let new pods start uncaptured.
    return { uninstall: false, reason: `the DaemonSet could not be read: ${messageOf(error)}` };
  }
  if (daemonSet.metadata.deletionTimestamp !== undefined) {
    return { uninstall: true, reason: 'the DaemonSet is being deleted' };
  }
  const node = await client
    .getOrUndefined<KubeObject>({ resource: nodes, name: o.nodeName })
    .catch(() => null);
  const podSpec = daemonSet.spec?.template.spec;
  if (node !== null && node !== undefined && podSpec !== undefined && !matchesNode(podSpec, node)) {
    return { uninstall: true, reason: 'the DaemonSet no longer selects this node' };
  }
  return { uninstall: false, reason: 'the DaemonSet is still there: restart or upgrade' };
}

/** Whether a pod of this template may run on the node, by node selector and required node affinity. */
export function matchesNode(podSpec: PodSpec, node: KubeObject): boolean {
  const labels = node.metadata.labels ?? {};
  const hasLabels = Object.entries(podSpec.nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
  const required = podSpec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const terms = required?.nodeSelectorTerms;
  return (
    hasLabels && (terms === undefined || terms.some((term) => termMatches(term, labels, node.metadata.name)))
  );
}

function termMatches(
  term: NodeSelectorTerm,
  labels: Readonly<Record<string, string>>,
  nodeName: string,
): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  // An empty term matches nothing.
  if (expressions.length + fields.length === 0) return false;
  return (
    expressions.every(({ key, operator, values }) =>
      requirementMatches(labels[key], operator, values ?? []),
    ) &&
    fields.every(
      ({ key, operator, values }) =>
        key === 'metadata.name' && requirementMatches(nodeName, operator, values ?? []),
    )
  );
}

function requirementMatches(value: string | undefined, operator: string, values: readonly string[]): boolean {
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(values[0]);
    default:
      return false;
  }
}
