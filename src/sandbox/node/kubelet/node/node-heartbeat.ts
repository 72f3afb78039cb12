import { pause } from '#base/system/until.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { isAlreadyExists, isNotFound, KubeApiError } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { leases, nodes } from '#base/kube/resource.js';
import type { KubeObject, Node } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import type { ListedImage } from '../../image/image.js';
import type { EventRecorder } from '../../../base/event-recorder.js';
import { within } from '../../model/within.js';
import { arch, isPublished, type NodeIdentity, type NodeStatus, nodeStatus } from './node-status.js';

const leaseNamespace = 'kube-node-lease';
const leaseSeconds = 40;
const heartbeatMs = 10_000;
/** A heartbeat that takes longer has failed; kubelet's limit for the lease. */
const answerTimeoutMs = 10_000;
const registerRetryMs = 250;
/** The status is written this often even when nothing changed; kubelet's nodeStatusReportFrequency. */
const reportMs = 300_000;

export interface HeartbeatDeps {
  readonly client: KubeClient;
  readonly identity: NodeIdentity;
  readonly signal: AbortSignal;
  readonly logger: Logger;
  readonly events: EventRecorder;
  /** Why the node cannot run pods (no CNI configuration), as kubelet reports it in the Ready condition. */
  readonly problem: () => Promise<string | undefined>;
  readonly images: () => readonly ListedImage[];
  /** Told of the node's object as the API server has it, with each heartbeat. */
  readonly onNode: (node: Node) => void;
  /** Told when the API server has this run's status for the first time. */
  readonly onReported: () => void;
  /** Told of each heartbeat that nobody answered. */
  readonly onUnanswered: () => void;
}

/**
 * Registers the node and keeps its status and lease fresh until the signal aborts. What others wrote into
 * the status meanwhile (Unknown, for a node that was silent) is put right by the next heartbeat.
 */
export async function keepNodeObject(deps: HeartbeatDeps): Promise<void> {
  const { signal, identity } = deps;
  let reportedAtMs = 0;
  let hasReported = false;
  while (!signal.aborted) {
    try {
      const node = await within(answerTimeoutMs, register(deps));
      deps.onNode(node);
      const problem = await deps.problem();
      const status = nodeStatus(identity, {
        problem,
        images: deps.images(),
        published: node.status,
        now: new Date(),
      });
      if (!isPublished(node.status, status) || Date.now() - reportedAtMs >= reportMs) {
        await within(answerTimeoutMs, report(deps, node, status));
        reportedAtMs = Date.now();
      }
      await within(answerTimeoutMs, renewLease(deps, node));
      if (!hasReported) deps.onReported();
      hasReported = true;
      await pause(problem === undefined ? heartbeatMs : registerRetryMs, signal);
    } catch (error) {
      deps.logger.debug('node heartbeat failed', { node: identity.name, error: messageOf(error) });
      if (!signal.aborted && !(error instanceof KubeApiError)) deps.onUnanswered();
      await pause(registerRetryMs, signal);
    }
  }
}

/** The node's object; made when it is not there: a kubelet registers again after somebody deleted it. */
async function register({ client, identity }: HeartbeatDeps): Promise<Node> {
  const ref = { resource: nodes, name: identity.name };
  const labels = {
    'kubernetes.io/hostname': identity.name,
    'kubernetes.io/os': 'linux',
    'kubernetes.io/arch': arch(),
  };
  const [podCIDR = ''] = identity.podCidrs;
  const spec = { podCIDR, podCIDRs: [...identity.podCidrs] };
  const present = await client.getOrUndefined<Node>(ref);
  if (present !== undefined) {
    const isComplete = Object.entries(labels).every(
      ([key, value]) => present.metadata.labels?.[key] === value,
    );
    if (isComplete && present.spec?.podCIDR === podCIDR) return present;
    return client.patch<Node>(ref, { metadata: { labels }, spec });
  }
  try {
    const metadata = { name: identity.name, labels };
    return await client.create<Node>(nodes, { apiVersion: 'v1', kind: 'Node', metadata, spec });
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    return client.get<Node>(ref);
  }
}

async function report(deps: HeartbeatDeps, node: Node, status: NodeStatus): Promise<void> {
  const { client, identity, events } = deps;
  // Conditions of other reporters stay, by type; of addresses there may be two of a type.
  const addresses = [{ $patch: 'replace' }, ...(status.addresses ?? [])];
  const ref = { resource: nodes, name: identity.name, subresource: 'status' };
  // What a node has no more is to be named in a patch.
  const gone = Object.keys(node.status?.allocatable ?? {}).map((name): [string, null] => [name, null]);
  const allocatable = { ...Object.fromEntries(gone), ...status.allocatable };
  await client.patch(ref, { status: { ...status, addresses, allocatable } }, 'strategic');
  const about = { apiVersion: 'v1', kind: 'Node', metadata: { name: identity.name, uid: identity.name } };
  const event = (type: 'Normal' | 'Warning', reason: string, message: string): void =>
    events.record({ about, type, reason, message });
  const lastBootId = node.status?.nodeInfo?.['bootID'] ?? '';
  if (lastBootId !== '' && lastBootId !== identity.bootId)
    event('Warning', 'Rebooted', `Node ${identity.name} has been rebooted, boot id: ${identity.bootId}`);
  const was = readyOf(node.status);
  const is = readyOf(status);
  if (was !== is && (is === 'True' || was !== undefined)) {
    const reason = is === 'True' ? 'NodeReady' : 'NodeNotReady';
    event('Normal', reason, `Node ${identity.name} status is now: ${reason}`);
  }
}

function readyOf(status: NodeStatus | undefined): string | undefined {
  return status?.conditions?.find((c) => c.type === 'Ready')?.status;
}

async function renewLease({ client, identity: { name } }: HeartbeatDeps, node: Node): Promise<void> {
  const spec = {
    holderIdentity: name,
    leaseDurationSeconds: leaseSeconds,
    renewTime: new Date().toISOString().replace('Z', '000Z'),
  };
  try {
    await client.patch({ resource: leases, namespace: leaseNamespace, name }, { spec });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    // The lease goes with its node.
    const owner = { apiVersion: 'v1', kind: 'Node', name, uid: node.metadata.uid };
    await client.create<KubeObject>(
      leases,
      {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name, namespace: leaseNamespace, ownerReferences: [owner] },
        spec,
      },
      { namespace: leaseNamespace },
    );
  }
}
