import { someOf } from '#base/collections/some-of.js';
import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { labelSelectorMatches } from '#base/kube/labels.js';
import {
  daemonSets,
  deployments,
  jobs,
  pods,
  replicaSets,
  type Resource,
  services,
  statefulSets,
} from '#base/kube/resource.js';
import type { Deployment, KubeObject, LabelSelector, Pod, Service } from '#base/kube/types.js';
import { MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import { isPodReady } from './component-pods.js';
import { splitReference } from './ztunnel-target.js';

/** Kinds that lead to pods, under the names kubectl knows them by. */
const kinds: readonly { readonly resource: Resource; readonly names: readonly string[] }[] = [
  { resource: pods, names: ['pod', 'pods', 'po'] },
  { resource: deployments, names: ['deployment', 'deployments', 'deploy'] },
  { resource: statefulSets, names: ['statefulset', 'statefulsets', 'sts'] },
  { resource: daemonSets, names: ['daemonset', 'daemonsets', 'ds'] },
  { resource: replicaSets, names: ['replicaset', 'replicasets', 'rs'] },
  { resource: jobs, names: ['job', 'jobs'] },
  { resource: services, names: ['service', 'services', 'svc'] },
];

/** An object that a reference leads to, and how, when that is worth a word. */
export interface Referred {
  readonly namespace: string;
  readonly name: string;
  readonly note?: string;
}

/** Names listed of many candidates. */
const listedMax = 8;

/**
 * The pod meant by `NAME[.NAMESPACE]`, `KIND/NAME[.NAMESPACE]` (a ready pod of a workload or Service) or the beginning of
 * a name that no other pod has. Rejects with MESH0103 (unknown kind), MESH0204 (no such object) or MESH0909 (several, or
 * a workload without pods).
 */
export async function referredPod(
  client: KubeClient,
  of: { readonly reference: string; readonly namespace: string },
): Promise<Referred> {
  const [kind, bare] = splitKind(of.reference);
  const [name, own] = splitReference(bare);
  const namespace = own ?? of.namespace;
  const resource = kind === undefined ? pods : resourceOfKind(kind);
  if (resource === pods) return referredByName(client, { resource, namespace, name });
  const found = await client.get<KubeObject>({ resource, namespace, name });
  const what = `${resource.kind} ${namespace}/${name}`;
  const members = (await client.list<Pod>(pods, { namespace })).filter((pod) =>
    labelSelectorMatches(selectorOfWorkload(found), pod.metadata.labels),
  );
  const chosen = members.find(isPodReady) ?? members[0];
  if (chosen === undefined) throw new MeshError('MESH0909', `${what} has no pods`);
  const others = members.length - 1;
  return {
    namespace,
    name: chosen.metadata.name,
    note: `${what}: pod ${chosen.metadata.name}${others === 0 ? '' : ` of ${members.length}`}`,
  };
}

/** The object of a kind meant by its name, or by the beginning of a name that no other has. Rejects as {@link referredPod}. */
export async function referredByName(
  client: KubeClient,
  of: { readonly resource: Resource; readonly namespace: string; readonly name: string },
): Promise<Referred> {
  const { resource, namespace, name } = of;
  try {
    await client.get<KubeObject>({ resource, namespace, name }, { isMetadataOnly: true });
    return { namespace, name };
  } catch (error) {
    if (!isNotFound(error)) throw error;
    const all = (await client.list<KubeObject>(resource, { namespace, isMetadataOnly: true })).map(
      ({ metadata }) => metadata.name,
    );
    const begun = all.filter((candidate) => candidate.startsWith(name));
    const [only, ...others] = begun;
    const kind = resource.kind.toLowerCase();
    if (only !== undefined && others.length === 0) {
      return { namespace, name: only, note: `${only} is the only ${kind} that begins with ${name}` };
    }
    if (only !== undefined) {
      throw new MeshError('MESH0909', `${begun.length} ${kind}s of ${namespace} begin with ${name}`, {
        evidence: someOf(begun, listedMax),
        hint: 'Write one of these names.',
      });
    }
    const near = nearMiss(name, all);
    throw new MeshError('MESH0204', `there is no ${kind} ${name} in namespace ${namespace}`, {
      evidence:
        all.length === 0 ? `the namespace has no ${kind}s` : `${kind}s there: ${someOf(all, listedMax)}`,
      ...(near === undefined ? {} : { hint: `Did you mean ${near}?` }),
      cause: error,
    });
  }
}

/** `KIND/rest`, or what has no kind. */
export function splitKind(reference: string): readonly [kind: string | undefined, rest: string] {
  const slash = reference.indexOf('/');
  return slash === -1 ? [undefined, reference] : [reference.slice(0, slash), reference.slice(slash + 1)];
}

function resourceOfKind(kind: string): Resource {
  const found = kinds.find(({ names }) => names.includes(kind.toLowerCase()));
  if (found !== undefined) return found.resource;
  const near = nearMiss(
    kind,
    kinds.flatMap(({ names }) => names),
  );
  throw new MeshError('MESH0103', `"${kind}" is no kind that leads to pods`, {
    hint:
      near === undefined
        ? `Kinds: ${kinds.map(({ names }) => names[0]).join(', ')}.`
        : `Did you mean ${near}?`,
  });
}

function selectorOfWorkload(object: KubeObject): LabelSelector | undefined {
  if (object.kind !== 'Service') return (object as Deployment).spec.selector;
  const selector = (object as Service).spec.selector;
  return selector === undefined ? undefined : { matchLabels: selector };
}
