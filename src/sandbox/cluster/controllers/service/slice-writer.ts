import type { KubeClient } from '#base/kube/client.js';
import { endpointSlices } from '#base/kube/resource.js';
import type { EndpointSlice, KubeObject } from '#base/kube/types.js';
import type { ObjectCache } from '../../cache/object-cache.js';
import { ownerReference } from '../pod-control.js';
import { canonicalJson } from '../template-hash.js';
import type { DesiredSlice } from './endpoint-model.js';

export const serviceNameLabel = 'kubernetes.io/service-name';
const managedByLabel = 'endpointslice.kubernetes.io/managed-by';

export interface SliceTarget {
  readonly client: KubeClient;
  readonly cache: ObjectCache<EndpointSlice>;
  /** The controller, as slices name it in their managed-by label. */
  readonly manager: string;
}

/** The slices of a service that a controller looks after. */
export function slicesOf(target: SliceTarget, namespace: string, service: string): EndpointSlice[] {
  return target.cache
    .inNamespace(namespace)
    .filter(
      (slice) =>
        isManaged(slice, target.manager) &&
        slice.metadata.labels?.[serviceNameLabel] === service &&
        slice.metadata.deletionTimestamp === undefined,
    );
}

export function isManaged(slice: EndpointSlice, manager: string): boolean {
  return slice.metadata.labels?.[managedByLabel] === manager;
}

/** Brings a service's slices to the wanted ones, changing existing ones rather than making new ones. */
export async function writeSlices(
  target: SliceTarget,
  o: {
    /** What the slices are made from and go with: a Service or Endpoints. Its name is the service's. */
    readonly owner: KubeObject;
    readonly labels: Readonly<Record<string, string>>;
    readonly desired: readonly DesiredSlice[];
  },
): Promise<void> {
  const { name, namespace = '' } = o.owner.metadata;
  const unused = new Set(slicesOf(target, namespace, name));
  const labels = { ...o.labels, [serviceNameLabel]: name, [managedByLabel]: target.manager };
  for (const slice of o.desired) {
    // A slice with the same ports is changed in place; watchers then see one update instead of two.
    const match = [...unused].find(
      (each) =>
        each.addressType === slice.addressType &&
        canonicalJson(each.ports ?? []) === canonicalJson(slice.ports),
    );
    const reused = match ?? [...unused].find((each) => each.addressType === slice.addressType);
    const content = { endpoints: [...slice.endpoints], ports: [...slice.ports] };
    if (reused === undefined) {
      const created = await target.client.create<EndpointSlice>(
        endpointSlices,
        {
          apiVersion: 'discovery.k8s.io/v1',
          kind: 'EndpointSlice',
          metadata: {
            generateName: `${name}-`,
            namespace,
            labels,
            ownerReferences: [ownerReference(o.owner)],
          },
          addressType: slice.addressType,
          ...content,
        },
        { namespace },
      );
      target.cache.remember(created);
      continue;
    }
    unused.delete(reused);
    const isSame =
      canonicalJson([reused.endpoints ?? [], reused.ports ?? [], reused.metadata.labels]) ===
      canonicalJson([content.endpoints, content.ports, labels]);
    if (isSame) continue;
    const updated = await target.client.update<EndpointSlice>(
      { resource: endpointSlices, name: reused.metadata.name, namespace },
      { ...reused, metadata: { ...reused.metadata, labels }, ...content },
    );
    target.cache.remember(updated);
  }
  for (const slice of unused) await removeSlice(target, slice);
}

/** Removes a service's slices of this controller. */
export async function removeSlices(target: SliceTarget, namespace: string, service: string): Promise<void> {
  for (const slice of slicesOf(target, namespace, service)) await removeSlice(target, slice);
}

async function removeSlice(target: SliceTarget, slice: EndpointSlice): Promise<void> {
  const { name, namespace } = slice.metadata;
  await target.client.delete({ resource: endpointSlices, name, namespace });
  target.cache.rememberDeletion(slice);
}
