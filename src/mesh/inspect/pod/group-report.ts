import { MeshError } from '#base/errors/mesh-error.js';
import { dataplaneMode, labelSelectorMatches, useWaypoint } from '#base/kube/labels.js';
import { namespaces, pods, services } from '#base/kube/resource.js';
import type { Namespace, Pod, Service } from '#base/kube/types.js';
import type { MeshObserver } from '../mesh-observer.js';
import { describePod, type PodDescription } from './pod-report.js';

/** A Service or Namespace as the sum of its pods. */
export interface GroupReport {
  readonly objectKind: 'Service' | 'Namespace';
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Cluster IP of a Service. */
  readonly address?: string;
  readonly ports?: readonly string[];
  readonly pods: readonly PodDescription[];
  /** Pods beyond the bound, not looked at. */
  readonly omittedCount: number;
}

/** More pods than this are counted, not described: each costs requests to its node. */
const podsMax = 200;
const concurrency = 8;

/** Describes every pod behind a Service. Rejects with MESH0204 when it does not exist. */
export async function describeService(
  observer: MeshObserver,
  at: { readonly namespace: string; readonly name: string; readonly now: number },
): Promise<GroupReport> {
  const service = await observer.client.get<Service>({
    resource: services,
    name: at.name,
    namespace: at.namespace,
  });
  const selector = service.spec.selector;
  if (selector === undefined) {
    throw new MeshError(
      'MESH0904',
      `Service ${at.namespace}/${at.name} has no selector, so no pods to describe`,
    );
  }
  const members = (await observer.client.list<Pod>(pods, { namespace: at.namespace })).filter((p) =>
    labelSelectorMatches({ matchLabels: selector }, p.metadata.labels),
  );
  return {
    objectKind: 'Service',
    namespace: at.namespace,
    name: at.name,
    labels: meshLabels(service.metadata.labels),
    address: service.spec.clusterIP ?? 'None',
    ports: service.spec.ports?.map((p) => `${p.port}/${p.protocol ?? 'TCP'}`) ?? [],
    ...(await describeAll(observer, members, at.now)),
  };
}

/** Describes every running pod of a Namespace. Rejects with MESH0204 when it does not exist. */
export async function describeNamespace(
  observer: MeshObserver,
  at: { readonly name: string; readonly now: number },
): Promise<GroupReport> {
  const namespace = await observer.client.get<Namespace>({ resource: namespaces, name: at.name });
  const members = (await observer.client.list<Pod>(pods, { namespace: at.name })).filter(
    (p) => p.status?.phase !== 'Succeeded' && p.status?.phase !== 'Failed',
  );
  return {
    objectKind: 'Namespace',
    namespace: at.name,
    name: at.name,
    labels: meshLabels(namespace.metadata.labels),
    ...(await describeAll(observer, members, at.now)),
  };
}

async function describeAll(
  observer: MeshObserver,
  members: readonly Pod[],
  now: number,
): Promise<{ pods: readonly PodDescription[]; omittedCount: number }> {
  const looked = members.slice(0, podsMax);
  const reports: PodDescription[] = [];
  for (let i = 0; i < looked.length; i += concurrency) {
    const batch = looked
      .slice(i, i + concurrency)
      .map((p) =>
        describePod(observer, { namespace: p.metadata.namespace ?? '', name: p.metadata.name, now }),
      );
    reports.push(...(await Promise.all(batch)));
  }
  return { pods: reports, omittedCount: members.length - looked.length };
}

function meshLabels(labels: Readonly<Record<string, string>> | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels ?? {}).filter(([k]) => k === dataplaneMode || k.startsWith(useWaypoint)),
  );
}
