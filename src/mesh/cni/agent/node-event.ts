import { randomBytes } from 'node:crypto';
import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { events } from '#base/kube/resource.js';
import type { Logger } from '#base/telemetry/log.js';

/** Events of objects without a namespace are kept here. */
const namespace = 'default';
const messageMaxChars = 1_024;

/** Records an event of the node, as `kubectl describe node` shows it. Never rejects: an event decides nothing. */
export async function recordNodeEvent(
  client: KubeClient,
  o: {
    readonly nodeName: string;
    readonly type: 'Normal' | 'Warning';
    readonly reason: string;
    readonly message: string;
    readonly log: Logger;
  },
): Promise<void> {
  const now = new Date().toISOString().slice(0, 19) + 'Z';
  try {
    await client.create(
      events,
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name: `${o.nodeName}.${randomBytes(8).toString('hex')}`, namespace },
        // The kubelet names a node by its name here, too, and kubectl looks for that.
        involvedObject: { kind: 'Node', name: o.nodeName, uid: o.nodeName },
        type: o.type,
        reason: o.reason,
        message: o.message.slice(0, messageMaxChars),
        source: { component: 'istio-cni-node', host: o.nodeName },
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      },
      { namespace },
    );
  } catch (error) {
    o.log.warn('an event could not be recorded', { event: o.message, error: messageOf(error) });
  }
}
