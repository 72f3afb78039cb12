import { isConflict, isNotFound } from '#base/kube/api-error.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { authorizationPolicies, type Resource, services } from '#base/kube/resource.js';
import type { Condition, KubeObject } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { objectKey } from '../model/inputs.js';
import type { MeshState } from '../model/mesh-state.js';
import { serviceKey } from '../model/service.js';
import { untilAborted } from '#base/system/until.js';
import { WorkQueue } from '../work-queue.js';
import { hasConditions, type WantedCondition, withTransitionTimes } from './conditions.js';
import { policyConditions, policyConditionTypes } from './policy-conditions.js';
import { serviceConditions, waypointBound } from './service-conditions.js';

const concurrency = 4;

export interface StatusWriterDeps {
  readonly client: KubeClient;
  readonly state: MeshState;
  readonly policies: Live;
  readonly services: Live;
  /** Calls the listener with the keys that changed at every recomputation; returns how to stop. */
  readonly onFlush: (
    listener: (changed: { policies: ReadonlySet<string>; services: ReadonlySet<string> }) => void,
  ) => () => void;
  readonly clusterDomain: string;
  readonly log: Logger;
}

/** The objects as they are now. */
interface Live {
  get(namespace: string, name: string): WithConditions | undefined;
  /** Calls the listener when an object changes, its status included; returns how to stop. */
  onChange(listener: (change: { readonly object: KubeObject }) => void): () => void;
}

type WithConditions = KubeObject & { status?: { conditions?: Condition[] } };

/** Writes conditions of policies and Services while this replica leads; ends with the signal. */
export async function runStatusWriter(deps: StatusWriterDeps, signal: AbortSignal): Promise<void> {
  const { index } = deps.state;
  const onError = (key: string, error: unknown) => {
    // A conflict only means that our copy is behind; the retry works on the newer one.
    const level = isConflict(error) ? 'debug' : 'warn';
    deps.log[level]('a status could not be written, retrying', { object: key, error: messageOf(error) });
  };
  const policyQueue = new WorkQueue({
    reconcile: async (key) => {
      const outcome = index.policyOutcomes.get(key);
      if (outcome === undefined) return;
      await write(deps.client, {
        resource: authorizationPolicies,
        live: deps.policies.get(...split(key)),
        wanted: policyConditions(outcome),
        types: policyConditionTypes,
      });
    },
    onError,
    concurrency,
  });
  const serviceQueue = new WorkQueue({
    reconcile: async (key) => {
      const service = index.services.get(key);
      if (service === undefined) return;
      await write(deps.client, {
        resource: services,
        live: deps.services.get(service.facts.namespace, service.facts.name),
        wanted: serviceConditions(service),
        types: [waypointBound],
      });
    },
    onError,
    concurrency,
  });
  const serviceOf = ({ metadata }: KubeObject) =>
    serviceKey(metadata.namespace ?? '', metadata.name, deps.clusterDomain);
  const stops = [
    deps.onFlush((changed) => {
      for (const key of changed.policies) policyQueue.add(key);
      for (const key of changed.services) serviceQueue.add(key);
    }),
    // Somebody may have taken our conditions away: a change that the mesh state does not see.
    deps.policies.onChange(({ object }) => policyQueue.add(objectKey(object))),
    deps.services.onChange(({ object }) => serviceQueue.add(serviceOf(object))),
  ];
  for (const key of index.policyOutcomes.keys()) policyQueue.add(key);
  for (const key of index.services.keys()) serviceQueue.add(key);
  policyQueue.start(signal);
  serviceQueue.start(signal);
  await untilAborted(signal);
  for (const stop of stops) stop();
}

function split(key: string): [namespace: string, name: string] {
  const slash = key.indexOf('/');
  return [key.slice(0, slash), key.slice(slash + 1)];
}

/** Replaces our conditions among those of others; writes nothing when they are there already. */
async function write(
  client: KubeClient,
  o: {
    readonly resource: Resource;
    readonly live: WithConditions | undefined;
    readonly wanted: readonly WantedCondition[];
    readonly types: readonly string[];
  },
): Promise<void> {
  if (o.live === undefined || hasConditions(o.live.status?.conditions, o.wanted, o.types)) return;
  const { namespace, name, resourceVersion } = o.live.metadata;
  const others = (o.live.status?.conditions ?? []).filter(({ type }) => !o.types.includes(type));
  const conditions = [...others, ...withTransitionTimes(o.wanted, o.live.status?.conditions, new Date())];
  try {
    await client.patch(
      { resource: o.resource, namespace, name, subresource: 'status' },
      // The version makes a stale look fail instead of dropping a condition somebody wrote meanwhile.
      { metadata: { resourceVersion }, status: { conditions } },
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}
