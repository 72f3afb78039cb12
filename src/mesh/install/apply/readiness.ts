import { counted } from '#base/collections/counted.js';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { labelSelectorMatches } from '#base/kube/labels.js';
import { pods } from '#base/kube/resource.js';
import type { CustomResourceDefinition, DaemonSet, Deployment, KubeObject, Pod } from '#base/kube/types.js';
import { explainPod, failedCreates } from '../../inspect/pod-trouble.js';
import { nameOf, refOf } from './plan-changes.js';

const pollIntervalMs = 300;
const refusalIntervalMs = 2_000;
/** Pods that an explanation looks into: of many, the others have the same trouble. */
const explainedMax = 10;

/** What an object still lacks; undefined when it is ready. */
export function missingForReady(object: KubeObject): string | undefined {
  switch (object.kind) {
    case 'CustomResourceDefinition':
      return missingForCrd(object as CustomResourceDefinition);
    case 'Deployment':
      return missingForDeployment(object as Deployment);
    case 'DaemonSet':
      return missingForDaemonSet(object as DaemonSet);
    default:
      return undefined;
  }
}

function missingForCrd(crd: CustomResourceDefinition): string | undefined {
  const condition = (type: string): string | undefined =>
    crd.status?.conditions?.find((c) => c.type === type)?.status;
  if (condition('Established') === 'True') return undefined;
  if (condition('NamesAccepted') === 'False')
    return 'its names are taken by another CustomResourceDefinition';
  return 'not established yet';
}

function missingForDeployment(d: Deployment): string | undefined {
  const { status = {} } = d;
  const wanted = d.spec.replicas ?? 1;
  if ((status.observedGeneration ?? 0) < (d.metadata.generation ?? 0)) return 'not observed yet';
  const updated = status.updatedReplicas ?? 0;
  if (updated < wanted) return `${updated} of ${counted(wanted, 'pod')} updated`;
  if ((status.replicas ?? 0) > updated) return `${(status.replicas ?? 0) - updated} old pods still running`;
  const available = status.availableReplicas ?? 0;
  return available < wanted ? `${available} of ${counted(wanted, 'pod')} available` : undefined;
}

/** A DaemonSet that no node matches is ready: there is nothing to wait for. */
function missingForDaemonSet(d: DaemonSet): string | undefined {
  const { status = {} } = d;
  if ((status.observedGeneration ?? 0) < (d.metadata.generation ?? 0)) return 'not observed yet';
  const wanted = status.desiredNumberScheduled ?? 0;
  const updated = status.updatedNumberScheduled ?? 0;
  if (updated < wanted) return `${updated} of ${counted(wanted, 'pod')} updated`;
  const ready = status.numberAvailable ?? status.numberReady ?? 0;
  return ready < wanted ? `${ready} of ${counted(wanted, 'pod')} ready` : undefined;
}

/**
 * Waits until an object is ready, reporting what is missing while it waits.
 * @throws MESH0308 with the pod, its reason, event and last log line when `deadlineMs` (of performance.now) passes
 */
export async function waitUntilReady(
  client: KubeClient,
  object: KubeObject,
  options: { deadlineMs: number; signal: AbortSignal; onWait?: (missing: string) => void },
): Promise<KubeObject> {
  const started = performance.now();
  let lookedMs = started;
  /** Events are looked at now and then: most waits end before there are any. */
  const isRefusalLooked = (): boolean => {
    if (performance.now() - lookedMs < refusalIntervalMs) return false;
    lookedMs = performance.now();
    return true;
  };
  for (;;) {
    options.signal.throwIfAborted();
    const live = await client.getOrUndefined<KubeObject>(refOf(object));
    const missing = live === undefined ? 'not there yet' : missingForReady(live);
    if (live !== undefined && missing === undefined) return live;
    if (performance.now() > options.deadlineMs) {
      const seconds = Math.round((performance.now() - started) / 1_000);
      throw new MeshError('MESH0308', `${nameOf(object)} is not ready after ${seconds} s: ${missing}`, {
        evidence: await troubleOf(client, object),
      });
    }
    const refusal = isRefusalLooked() ? await refusalOf(client, object) : undefined;
    options.onWait?.([missing ?? '', ...(refusal === undefined ? [] : [refusal])].join(': '));
    await delay(pollIntervalMs, undefined, { signal: options.signal });
  }
}

/** Why the pods of a workload are not ready, in words; undefined when there is nothing to tell. */
export async function troubleOf(client: KubeClient, object: KubeObject): Promise<string | undefined> {
  if (object.kind !== 'Deployment' && object.kind !== 'DaemonSet') return undefined;
  const own = await podsOf(client, object);
  const refusals = await failedCreates(client, object.metadata.namespace ?? '', object.metadata.name);
  if (own.length === 0 && refusals.length === 0) {
    return 'it has no pods; the events of the object may say why (kubectl describe)';
  }
  const explained = await Promise.all(own.slice(0, explainedMax).map((pod) => explainPod(client, pod)));
  const lines = [
    ...refusals.map((message) => `FailedCreate: ${message}`),
    ...explained.filter((line) => line !== undefined),
  ];
  return lines.length === 0 ? undefined : lines.join('\n');
}

/** Why no pod is made; undefined when nothing says so. */
async function refusalOf(client: KubeClient, object: KubeObject): Promise<string | undefined> {
  if (object.kind !== 'Deployment' && object.kind !== 'DaemonSet') return undefined;
  const [first] = await failedCreates(client, object.metadata.namespace ?? '', object.metadata.name);
  return first;
}

/** The pods of a Deployment or DaemonSet. */
export async function podsOf(client: KubeClient, object: KubeObject): Promise<readonly Pod[]> {
  const { selector } = (object as Deployment).spec;
  const all = await client.list<Pod>(pods, { namespace: object.metadata.namespace });
  return all.filter(({ metadata }) => labelSelectorMatches(selector, metadata.labels));
}
