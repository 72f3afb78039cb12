import type { ContainerSpec, KubeletPod, ResourceFieldRef } from './pod.js';
import { parseQuantity } from '../../base/quantity.js';

/** What the node knows about a pod beyond its object. */
export interface DownwardContext {
  readonly pod: KubeletPod;
  readonly podIps: readonly string[];
  readonly nodeName: string;
  readonly nodeIps: readonly string[];
  /** Stand-in for limits that are not set (kubelet uses the node's allocatable). */
  readonly allocatable: { readonly cpu: number; readonly memoryBytes: number };
}

/** The value of a field reference; undefined when the path is not supported. */
export function fieldValue(path: string, context: DownwardContext): string | undefined {
  const { pod } = context;
  const keyed = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (keyed !== null) {
    const map = keyed[1] === 'labels' ? pod.metadata.labels : pod.metadata.annotations;
    return map?.[keyed[2] ?? ''] ?? '';
  }
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name;
    case 'metadata.namespace':
      return pod.metadata.namespace;
    case 'metadata.uid':
      return pod.metadata.uid;
    case 'metadata.labels':
      return formatMap(pod.metadata.labels);
    case 'metadata.annotations':
      return formatMap(pod.metadata.annotations);
    case 'spec.nodeName':
      return context.nodeName;
    case 'spec.serviceAccountName':
      return pod.spec.serviceAccountName ?? 'default';
    case 'status.hostIP':
      return context.nodeIps[0] ?? '';
    case 'status.hostIPs':
      return context.nodeIps.join(',');
    case 'status.podIP':
      return context.podIps[0] ?? '';
    case 'status.podIPs':
      return context.podIps.join(',');
    default:
      return undefined;
  }
}

/** The value of a resource reference, rounded up to the divisor; undefined for an unknown resource. */
export function resourceValue(
  ref: ResourceFieldRef,
  container: ContainerSpec,
  context: DownwardContext,
): string | undefined {
  const [kind, resource = ''] = ref.resource.split('.', 2);
  if (kind !== 'limits' && kind !== 'requests') return undefined;
  const { limits, requests } = container.resources ?? {};
  const set = kind === 'limits' ? limits?.[resource] : (requests?.[resource] ?? limits?.[resource]);
  const value = parseQuantity(set) ?? defaultResource(kind, resource, context);
  if (value === undefined) return undefined;
  const divisor = parseQuantity(ref.divisor);
  return String(Math.ceil(value / (divisor === undefined || divisor === 0 ? 1 : divisor)));
}

function defaultResource(kind: string, resource: string, context: DownwardContext): number | undefined {
  if (kind === 'requests') return 0;
  if (resource === 'cpu') return context.allocatable.cpu;
  return resource === 'memory' ? context.allocatable.memoryBytes : undefined;
}

/** The format of the downward API: one `key="value"` a line, sorted. */
function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n');
}
