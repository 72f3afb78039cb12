import { labelSelectorMatches } from '../../../../kube/labels.js';
import {
  endpoints as endpointsResource,
  endpointSlices,
  nodes as nodeResource,
  pods as podResource,
  services,
} from '../../../../kube/resource.js';
import { isAlreadyExists } from '../../../../kube/api-error.js';
import type { Endpoints, EndpointSlice, Node, Pod, Service } from '../../../../kube/types.js';
import { keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import { type Controller, type ControllerDeps, type ControllerQueue, splitKey } from '../controller.js';
import { type DesiredSlice, desiredSlices } from './endpoint-model.js';
import { desiredSubsets } from './endpoint-subsets.js';
import { ownerReference } from '../pod-control.js';
import { canonicalJson } from '../template-hash.js';

const serviceNameLabel = 'kubernetes.io/service-name';
const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
const manager = 'endpointslice-controller.k8s.io';
const headlessLabel = 'service.kubernetes.io/headless';

interface Context {
  readonly deps: ControllerDeps;
  readonly services: ObjectCache<Service>;
  readonly slices: ObjectCache<EndpointSlice>;
  readonly endpoints: ObjectCache<Endpoints>;
  readonly pods: ObjectCache<Pod>;
  readonly nodes: ObjectCache<Node>;
}

/** Publishes which pods serve a Service, as EndpointSlices and as the older Endpoints. */
export function endpointSliceController(deps: ControllerDeps, queue: ControllerQueue): Controller {
  const context: Context = {
    deps,
    services: deps.caches.of<Service>(services),
    slices: deps.caches.of<EndpointSlice>(endpointSlices),
    endpoints: deps.caches.of<Endpoints>(endpointsResource),
    pods: deps.caches.of<Pod>(podResource),
    nodes: deps.caches.of<Node>(nodeResource),
  };
  context.services.onChange(({ object }) => queue.add(keyOfObject(object)));
  context.pods.onChange(({ object, old }) => {
    for (const service of context.services.inNamespace(object.metadata.namespace ?? '')) {
      const { selector } = service.spec;
      if (selects(selector, object) || (old !== undefined && selects(selector, old)))
        queue.add(keyOfObject(service));
    }
  });
  // Someone deleting or editing our slices is repaired.
  context.slices.onChange(({ object }) => {
    const name = object.metadata.labels?.[serviceNameLabel];
    if (name !== undefined && object.metadata.labels?.[managedByLabel] === manager) {
      queue.add(`${object.metadata.namespace ?? ''}/${name}`);
    }
  });
  return {
    name: 'endpointslice',
    keys: () => context.services.list().map(keyOfObject),
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const service = context.services.get(namespace, name);
      const isManaged =
        service !== undefined && service.metadata.deletionTimestamp === undefined && hasSelector(service);
      const existing = context.slices
        .inNamespace(namespace)
        .filter(
          (slice) =>
            slice.metadata.labels?.[serviceNameLabel] === name &&
            slice.metadata.labels[managedByLabel] === manager &&
            slice.metadata.deletionTimestamp === undefined,
        );
      if (!isManaged) {
        // Without a selector (any more), endpoints are the user's business; ours go.
        for (const slice of existing) await remove(context, slice);
        return;
      }
      const pods = context.pods.inNamespace(namespace).filter((pod) => selects(service.spec.selector, pod));
      const desired = desiredSlices({ service, pods, node: (node) => context.nodes.get(undefined, node) });
      await writeSlices(context, { service, existing, desired });
      await writeEndpoints(context, service, desired);
    },
  };
}

function hasSelector(service: Service): boolean {
  return service.spec.type !== 'ExternalName' && Object.keys(service.spec.selector ?? {}).length > 0;
}

function selects(selector: Record<string, string> | undefined, pod: Pod): boolean {
  return (
    selector !== undefined &&
    Object.keys(selector).length > 0 &&
    labelSelectorMatches({ matchLabels: selector }, pod.metadata.labels)
  );
}

async function writeSlices(
  context: Context,
  o: {
    readonly service: Service;
    readonly existing: EndpointSlice[];
    readonly desired: readonly DesiredSlice[];
  },
): Promise<void> {
  const { service } = o;
  const unused = new Set(o.existing);
  const labels = sliceLabels(service);
  for (const slice of o.desired) {
    // A slice with the same ports is changed in place; watchers then see one update instead of two.
    const match = [...unused].find(
      (each) =>
        each.addressType === slice.addressType &&
        canonicalJson(each.ports ?? []) === canonicalJson(slice.ports),
    );
    const reused = match ?? [...unused].find((each) => each.addressType === slice.addressType);
    if (reused === undefined) {
      await createSlice(context, service, slice);
      continue;
    }
    unused.delete(reused);
    const content = { endpoints: [...slice.endpoints], ports: [...slice.ports] };
    const isSame =
      canonicalJson([reused.endpoints ?? [], reused.ports ?? [], reused.metadata.labels]) ===
      canonicalJson([content.endpoints, content.ports, labels]);
    if (isSame) continue;
    const { name, namespace } = reused.metadata;
    const updated = await context.deps.client.update<EndpointSlice>(
      { resource: endpointSlices, name, namespace },
      { ...reused, metadata: { ...reused.metadata, labels }, ...content },
    );
    context.slices.remember(updated);
  }
  for (const slice of unused) await remove(context, slice);
}

async function createSlice(context: Context, service: Service, slice: DesiredSlice): Promise<void> {
  const namespace = service.metadata.namespace ?? '';
  const created = await context.deps.client.create<EndpointSlice>(
    endpointSlices,
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        generateName: `${service.metadata.name}-`,
        namespace,
        labels: sliceLabels(service),
        ownerReferences: [ownerReference(service)],
      },
      addressType: slice.addressType,
      endpoints: slice.endpoints,
      ports: slice.ports,
    },
    { namespace },
  );
  context.slices.remember(created);
}

function sliceLabels(service: Service): Record<string, string> {
  return {
    ...service.metadata.labels,
    [serviceNameLabel]: service.metadata.name,
    [managedByLabel]: manager,
    ...(service.spec.clusterIP === 'None' ? { [headlessLabel]: '' } : {}),
  };
}

async function remove(context: Context, slice: EndpointSlice): Promise<void> {
  const { name, namespace } = slice.metadata;
  await context.deps.client.delete({ resource: endpointSlices, name, namespace });
  context.slices.rememberDeletion(slice);
}

async function writeEndpoints(
  context: Context,
  service: Service,
  desired: readonly DesiredSlice[],
): Promise<void> {
  const { name, namespace = '' } = service.metadata;
  const subsets = desiredSubsets(desired);
  const existing = context.endpoints.get(namespace, name);
  const labels = {
    ...service.metadata.labels,
    ...(service.spec.clusterIP === 'None' ? { [headlessLabel]: '' } : {}),
  };
  if (existing === undefined) {
    try {
      const created = await context.deps.client.create<Endpoints>(
        endpointsResource,
        {
          apiVersion: 'v1',
          kind: 'Endpoints',
          metadata: { name, namespace, labels, ownerReferences: [ownerReference(service)] },
          subsets,
        },
        { namespace },
      );
      context.endpoints.remember(created);
    } catch (error) {
      // The cache is behind; the next pass, which its event starts, compares.
      if (!isAlreadyExists(error)) throw error;
    }
    return;
  }
  const isSame =
    canonicalJson([existing.subsets ?? [], existing.metadata.labels ?? {}]) ===
    canonicalJson([subsets, labels]);
  if (isSame) return;
  const updated = await context.deps.client.update<Endpoints>(
    { resource: endpointsResource, name, namespace },
    { ...existing, metadata: { ...existing.metadata, labels }, subsets },
  );
  context.endpoints.remember(updated);
}
