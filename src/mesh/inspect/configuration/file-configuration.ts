import {
  cronJobs,
  daemonSets,
  deployments,
  gateways,
  groupVersionOf,
  jobs,
  pods,
  replicaSets,
  type Resource,
  statefulSets,
} from '#base/kube/resource.js';
import type { Gateway, KubeObject, PodTemplateSpec } from '#base/kube/types.js';
import { workloadNameOf } from '../../rules/workload-name.js';
import type { MeshSettings } from '../mesh-settings.js';
import { Configuration, kindKey, type KnownObjects } from './configuration.js';
import type { Manifests } from './manifest-files.js';

/** What files are put over. */
export interface FileContext {
  /** What the cluster has; undefined: the files are all there is. */
  readonly live: Configuration | undefined;
  readonly settings: MeshSettings;
  readonly meshNamespace: string;
  /** For objects that name no namespace. */
  readonly namespace: string;
  /** Kinds that matter; workloads count as the pods they make. */
  readonly resources: readonly Resource[];
}

/**
 * The configuration as it would be with the files applied. Alone, files are believed to hold all objects of a kind in a
 * namespace as soon as they hold one: of what they hold none, they say nothing.
 */
export function configurationOfFiles(manifests: Manifests, context: FileContext): Configuration {
  const { live, resources } = context;
  const places = new Map<KubeObject, string>();
  const kinds = new Map<string, KnownObjects>();
  const known = new Map(resources.map((resource) => [kindKey(resource), resource]));
  const ofFiles = new Map<string, Map<string, KubeObject>>();
  const put = (resource: Resource, object: KubeObject, place: string): void => {
    const named = inNamespace(object, resource, context.namespace);
    const placed = asItWillBe(named, live?.find(resource, named.metadata));
    places.set(placed, place);
    const key = kindKey(resource);
    const own = ofFiles.get(key) ?? new Map<string, KubeObject>();
    own.set(`${object.kind} ${nameOf(placed)}`, placed);
    ofFiles.set(key, own);
  };
  const replaced = new Set<string>();
  for (const { object, place } of manifests.objects) {
    const { group } = groupVersionOf(object.apiVersion);
    const resource = known.get(kindKey({ group, kind: object.kind }));
    if (resource !== undefined) put(resource, object, place);
    const pod = podOfWorkload(object);
    if (pod === undefined) continue;
    replaced.add(nameOf(inNamespace(object, pods, context.namespace)));
    if (pod.isRun) put(pods, pod.object, place);
  }
  const isReplaced = ({ kind, metadata }: KubeObject): boolean =>
    kind === pods.kind && replaced.has(`${metadata.namespace ?? ''}/${workloadNameOf(metadata)}`);
  for (const key of known.keys()) {
    const own = ofFiles.get(key) ?? new Map<string, KubeObject>();
    const resource = known.get(key);
    const before = resource === undefined ? [] : (live?.list(resource) ?? []);
    const objects = [
      ...before.filter((object) => !own.has(`${object.kind} ${nameOf(object)}`) && !isReplaced(object)),
      ...own.values(),
    ];
    kinds.set(key, { objects, seen: seenOf(resource, live, own.values()) });
  }
  return new Configuration({
    kinds,
    settings: context.settings,
    meshNamespace: context.meshNamespace,
    namespaces: undefined,
    unseen: live?.unseen ?? [],
    places,
  });
}

function seenOf(
  resource: Resource | undefined,
  live: Configuration | undefined,
  own: Iterable<KubeObject>,
): KnownObjects['seen'] {
  if (resource !== undefined && live !== undefined) return live.seenOf(resource);
  const namespaces = new Set([...own].map(({ metadata }) => metadata.namespace ?? ''));
  return namespaces;
}

/**
 * An object as it will be once applied: created when it was, and a Gateway with the addresses it has, or will be given:
 * whether one is deployed is not a question of its file. What the controller said of the object as it was is left out.
 */
function asItWillBe(object: KubeObject, live: KubeObject | undefined): KubeObject {
  const { creationTimestamp } = live?.metadata ?? {};
  const metadata = {
    ...object.metadata,
    ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
  };
  const { group } = groupVersionOf(object.apiVersion);
  if (group !== gateways.group || object.kind !== gateways.kind) return { ...object, metadata };
  const { addresses = [] } = (live as Gateway | undefined)?.status ?? {};
  const future = { type: 'Hostname', value: `${metadata.name}.${metadata.namespace ?? ''}` };
  return {
    ...object,
    metadata,
    status: {
      addresses: addresses.length > 0 ? addresses : [future],
      conditions: [{ type: 'Programmed', status: 'True' }],
    },
  } as KubeObject;
}

/** Kinds that make pods. */
export const workloadKinds: readonly Resource[] = [
  deployments,
  statefulSets,
  daemonSets,
  replicaSets,
  jobs,
  cronJobs,
];

/** A pod as the template of a workload makes it, under the kind and name of the workload; undefined for other kinds. */
function podOfWorkload(
  workload: KubeObject,
): { readonly object: KubeObject; readonly isRun: boolean } | undefined {
  const { group } = groupVersionOf(workload.apiVersion);
  if (!workloadKinds.some((one) => one.group === group && one.kind === workload.kind)) return undefined;
  const { spec } = workload as KubeObject & { spec?: WorkloadSpec };
  const template = spec?.template ?? spec?.jobTemplate?.spec?.template;
  if (template === undefined) return undefined;
  const { labels = {}, annotations = {} } = template.metadata ?? {};
  const { name, namespace } = workload.metadata;
  const metadata = { name, labels, annotations, ...(namespace === undefined ? {} : { namespace }) };
  return {
    object: { ...workload, metadata, spec: template.spec, status: {} } as KubeObject,
    isRun: spec?.replicas !== 0,
  };
}

/** The parts of Deployments, StatefulSets, DaemonSets, ReplicaSets, Jobs and CronJobs that make pods. */
interface WorkloadSpec {
  readonly replicas?: number;
  readonly template?: PodTemplateSpec;
  readonly jobTemplate?: { readonly spec?: { readonly template?: PodTemplateSpec } };
}

function inNamespace(object: KubeObject, resource: Resource, namespace: string): KubeObject {
  if (!resource.isNamespaced || (object.metadata.namespace ?? '') !== '') return object;
  return { ...object, metadata: { ...object.metadata, namespace } };
}

function nameOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}
