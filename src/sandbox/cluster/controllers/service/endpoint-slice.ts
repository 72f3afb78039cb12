import { isAlreadyExists } from '#base/kube/api-error.js';
import { labelSelectorMatches } from '#base/kube/labels.js';
import {
  endpoints as endpointsResource,
  endpointSlices,
  nodes as nodeResource,
  pods as podResource,
  services,
} from '#base/kube/resource.js';
import type { Endpoints, EndpointSlice, Node, Pod, Service } from '#base/kube/types.js';
import { keyOfObject, type ObjectCache } from '../../cache/object-cache.js';
import {
  type Controller,
  type ClusterControllerDeps,
  type ControllerQueue,
  splitKey,
} from '../controller.js';
import { ownerReference } from '../pod-control.js';
import { canonicalJson } from '../template-hash.js';
import { type DesiredSlice, desiredSlices } from './endpoint-model.js';
import { desiredSubsets } from './endpoint-subsets.js';
import { isManaged, removeSlices, serviceNameLabel, type SliceTarget, writeSlices } from './slice-writer.js';
import { withHints } from './topology-hints.js';

const manager = 'endpointslice-controller.k8s.io';
const headlessLabel = 'service.kubernetes.io/headless';
const zoneLabel = 'topology.kubernetes.io/zone';

interface Context {
  readonly deps: ClusterControllerDeps;
  readonly endpoints: ObjectCache<Endpoints>;
}

/** Publishes which pods serve a Service, as EndpointSlices and as the older Endpoints. */
export function endpointSliceController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const allServices = deps.caches.of<Service>(services);
  const slices = deps.caches.of<EndpointSlice>(endpointSlices);
  const pods = deps.caches.of<Pod>(podResource);
  const nodes = deps.caches.of<Node>(nodeResource);
  const context: Context = { deps, endpoints: deps.caches.of<Endpoints>(endpointsResource) };
  const target: SliceTarget = { client: deps.client, cache: slices, manager };
  const keys = (): string[] => allServices.list().map(keyOfObject);
  allServices.onChange(({ object }) => queue.add(keyOfObject(object)));
  pods.onChange(({ object, old }) => {
    for (const service of allServices.inNamespace(object.metadata.namespace ?? '')) {
      const { selector } = service.spec;
      if (selects(selector, object) || (old !== undefined && selects(selector, old)))
        queue.add(keyOfObject(service));
    }
  });
  nodes.onChange(({ object, old, isGone }) => {
    const isMoved = object.metadata.labels?.[zoneLabel] !== old?.metadata.labels?.[zoneLabel];
    if (isMoved || isGone) for (const key of keys()) queue.add(key);
  });
  // Someone deleting or editing our slices is repaired.
  slices.onChange(({ object }) => {
    const name = object.metadata.labels?.[serviceNameLabel];
    if (name !== undefined && isManaged(object, manager))
      queue.add(`${object.metadata.namespace ?? ''}/${name}`);
  });
  return {
    name: 'endpointslice',
    keys,
    reconcile: async (key) => {
      const { namespace, name } = splitKey(key);
      const service = allServices.get(namespace, name);
      if (
        service === undefined ||
        service.metadata.deletionTimestamp !== undefined ||
        !hasSelector(service)
      ) {
        // Without a selector (any more), endpoints are the user's business; ours go.
        await removeSlices(target, namespace, name);
        return;
      }
      const own = pods.inNamespace(namespace).filter((pod) => selects(service.spec.selector, pod));
      const plain = desiredSlices({ service, pods: own, node: (node) => nodes.get(undefined, node) });
      const desired = withHints(plain, service, nodes.list());
      await writeSlices(target, { owner: service, labels: labelsOf(service), desired });
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

function labelsOf(service: Service): Record<string, string> {
  return {
    ...service.metadata.labels,
    ...(service.spec.clusterIP === 'None' ? { [headlessLabel]: '' } : {}),
  };
}

async function writeEndpoints(
  context: Context,
  service: Service,
  desired: readonly DesiredSlice[],
): Promise<void> {
  const { name, namespace = '' } = service.metadata;
  const subsets = desiredSubsets(desired);
  const existing = context.endpoints.get(namespace, name);
  const labels = labelsOf(service);
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
