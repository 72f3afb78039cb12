import { createHash, randomBytes } from 'node:crypto';
import { isAlreadyExists } from '#base/kube/api-error.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { events } from '#base/kube/resource.js';
import type { Logger } from '#base/telemetry/log.js';
import type { ZdsWorkload } from '../zds/messages.js';

/** Events of objects without a namespace are kept here. */
const clusterNamespace = 'default';
const messageMaxChars = 1_024;

/** What an event says. */
export interface AgentEvent {
  readonly nodeName: string;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  readonly log: Logger;
}

/** Records an event of the node, as `kubectl describe node` shows it. Never rejects: an event decides nothing. */
export function recordNodeEvent(client: KubeClient, event: AgentEvent): Promise<void> {
  const name = event.nodeName;
  // The kubelet names a node by its name as UID, too, and kubectl looks for that.
  return record(client, event, {
    name: `${name}.${randomBytes(8).toString('hex')}`,
    namespace: clusterNamespace,
    involvedObject: { kind: 'Node', name, uid: name },
  });
}

/**
 * Records an event of a pod, as `kubectl describe pod` shows it. One that says the same as
 * an earlier one only brings its time up to date. Never rejects.
 */
export function recordPodEvent(client: KubeClient, pod: ZdsWorkload, event: AgentEvent): Promise<void> {
  const { namespace, name, uid } = pod;
  const digest = createHash('sha256').update(`${uid} ${event.reason} ${event.message}`).digest('hex');
  return record(client, event, {
    name: `${name}.${digest.slice(0, 16)}`,
    namespace,
    involvedObject: { apiVersion: 'v1', kind: 'Pod', namespace, name, uid },
  });
}

async function record(
  client: KubeClient,
  { nodeName, type, reason, message, log }: AgentEvent,
  at: { readonly name: string; readonly namespace: string; readonly involvedObject: object },
): Promise<void> {
  const { name, namespace, involvedObject } = at;
  const now = new Date().toISOString().slice(0, 19) + 'Z';
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace },
    involvedObject,
    type,
    reason,
    message: message.slice(0, messageMaxChars),
    source: { component: 'istio-cni-node', host: nodeName },
    firstTimestamp: now,
    lastTimestamp: now,
    count: 1,
  };
  try {
    await client.create(events, event, { namespace });
  } catch (error) {
    try {
      if (!isAlreadyExists(error)) throw error;
      await client.patch({ resource: events, namespace, name }, { lastTimestamp: now });
    } catch (failure) {
      log.warn('an event could not be recorded', { event: message, error: messageOf(failure) });
    }
  }
}
