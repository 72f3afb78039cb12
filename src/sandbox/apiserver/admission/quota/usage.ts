import { ExactQuantity } from '../../../base/exact-quantity.js';
import { numberOf, objectOf, objectsOf, valueIn, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { ServedResource } from '../../registry/resource.js';
import { containersOf, podAmounts } from '../pods/pod-resources.js';
import { type Amounts, amountsOf } from '../pods/amounts.js';

const one = ExactQuantity.of(1);
/** Kinds whose plain plural is a quota too, besides `count/PLURAL`. */
const plainCounts: ReadonlySet<string> = new Set([
  'configmaps',
  'persistentvolumeclaims',
  'pods',
  'replicationcontrollers',
  'resourcequotas',
  'secrets',
  'services',
]);
/** Requests of these may be limited without the prefix. */
const bareRequests: ReadonlySet<string> = new Set(['cpu', 'memory', 'ephemeral-storage']);
const mustSpecify: ReadonlySet<string> = new Set(
  ['cpu', 'memory'].flatMap((name) => [name, `requests.${name}`, `limits.${name}`]),
);

/** What quotas call the number of objects of a resource. */
export function countName(resource: Pick<ServedResource, 'group' | 'plural'>): string {
  return `count/${resource.plural}${resource.group === '' ? '' : `.${resource.group}`}`;
}

const isPod = (r: Pick<ServedResource, 'group' | 'plural'>): boolean => r.group === '' && r.plural === 'pods';

/** Whether a quota may limit something under this name that objects of the resource use. */
export function isCountedIn(resource: Pick<ServedResource, 'group' | 'plural'>, name: string): boolean {
  if (name === countName(resource)) return true;
  if (resource.group !== '') return false;
  if (plainCounts.has(resource.plural) && name === resource.plural) return true;
  switch (resource.plural) {
    case 'pods':
      return (
        bareRequests.has(name) ||
        name.startsWith('limits.') ||
        name.startsWith('hugepages-') ||
        (name.startsWith('requests.') && name !== 'requests.storage')
      );
    case 'services':
      return name === 'services.loadbalancers' || name === 'services.nodeports';
    case 'persistentvolumeclaims':
      return name === 'requests.storage' || name.includes('.storageclass.storage.k8s.io/');
    default:
      return false;
  }
}

/** What one object uses, by the names quotas have for it. */
export function usageOf(resource: Pick<ServedResource, 'group' | 'plural'>, object: ApiObject): Amounts {
  const usage = new Map<string, ExactQuantity>([[countName(resource), one]]);
  if (resource.group !== '') return usage;
  if (!isPod(resource) && plainCounts.has(resource.plural)) usage.set(resource.plural, one);
  if (isPod(resource)) addPod(usage, object);
  else if (resource.plural === 'services') addService(usage, object);
  else if (resource.plural === 'persistentvolumeclaims') addClaim(usage, object);
  return usage;
}

/** Whether a pod has ended, or should have by the grace period it was given. */
function isOver(pod: ApiObject): boolean {
  const phase = valueIn(pod, 'status', 'phase');
  if (phase === 'Succeeded' || phase === 'Failed') return true;
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  // The timestamp includes the grace period already; Kubernetes waits for another.
  return (
    deletionTimestamp !== undefined &&
    deletionGracePeriodSeconds !== undefined &&
    Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000 < Date.now()
  );
}

function addPod(usage: Map<string, ExactQuantity>, pod: ApiObject): void {
  if (isOver(pod)) return;
  usage.set('pods', one);
  const spec = objectOf(pod.spec);
  for (const [name, amount] of podAmounts(spec, 'requests')) {
    usage.set(`requests.${name}`, amount);
    if (bareRequests.has(name) || name.startsWith('hugepages-')) usage.set(name, amount);
  }
  for (const [name, amount] of podAmounts(spec, 'limits')) {
    if (bareRequests.has(name)) usage.set(`limits.${name}`, amount);
  }
}

function addService(usage: Map<string, ExactQuantity>, service: ApiObject): void {
  const spec = objectOf(service.spec);
  const ports = objectsOf(spec.ports);
  if (spec.type === 'LoadBalancer') {
    usage.set('services.loadbalancers', one);
    const isPublished = spec.allocateLoadBalancerNodePorts !== false;
    const given = ports.filter((p) => (numberOf(p.nodePort) ?? 0) !== 0).length;
    usage.set('services.nodeports', ExactQuantity.of(isPublished ? ports.length : given));
  } else if (spec.type === 'NodePort') usage.set('services.nodeports', ExactQuantity.of(ports.length));
}

function addClaim(usage: Map<string, ExactQuantity>, claim: ApiObject): void {
  const spec = objectOf(claim.spec);
  const annotated = claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'];
  const storageClass = annotated ?? stringOf(spec.storageClassName);
  const ofClass = (name: string): string => `${storageClass}.storageclass.storage.k8s.io/${name}`;
  if (storageClass !== '') usage.set(ofClass('persistentvolumeclaims'), one);
  const storage = amountsOf(objectOf(spec.resources).requests).get('storage');
  if (storage === undefined) return;
  usage.set('requests.storage', storage);
  if (storageClass !== '') usage.set(ofClass('requests.storage'), storage);
}

/** Why a pod may not be made where these names are limited: its containers must say what they use. */
export function unspecified(pod: ApiObject, limited: readonly string[]): string | undefined {
  const missing = new Map<string, Set<string>>();
  for (const container of containersOf(objectOf(pod.spec))) {
    const { requests, limits } = objectOf(container.resources);
    const requested = amountsOf(requests);
    const bounded = amountsOf(limits);
    for (const name of limited.filter((n) => mustSpecify.has(n))) {
      const isThere = name.startsWith('limits.')
        ? bounded.has(name.slice('limits.'.length))
        : requested.has(name.replace(/^requests\./, ''));
      if (isThere) continue;
      missing.set(name, (missing.get(name) ?? new Set()).add(stringOf(container.name)));
    }
  }
  if (missing.size === 0) return undefined;
  const texts = [...missing]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, containers]) => `${name} for: ${[...containers].sort().join(',')}`);
  return `must specify ${texts.join('; ')}`;
}
