import * as labels from '#base/kube/labels.js';
import type { PodFacts } from '../../rules/facts.js';
import type { ConnectionRecord } from '../../xds/server/server.js';
import { trustBundleType } from '../../xds/type-urls.js';
import { podOfNode } from '../../xds/server/node-id.js';

/**
 * The running node proxies and gateways, as `pod.namespace`, that have not acknowledged the present trust bundle on a
 * stream to this replica.
 */
export function proxiesWaitedFor(from: {
  readonly pods: readonly PodFacts[];
  readonly connections: readonly ConnectionRecord[];
  readonly systemNamespace: string;
}): readonly string[] {
  const ready = new Set(
    from.connections
      .filter(({ connection }) => knowsBundle(connection))
      .map(({ connection }) => podOfNode(connection.subscriber).id),
  );
  return from.pods
    .filter((pod) => isProxy(pod, from.systemNamespace))
    .map(({ namespace, name }) => `${name}.${namespace}`)
    .filter((name) => !ready.has(name));
}

function isProxy(pod: PodFacts, systemNamespace: string): boolean {
  if (pod.isTerminating) return false;
  const isNodeProxy = pod.namespace === systemNamespace && pod.labels['app'] === 'ztunnel';
  return isNodeProxy || pod.labels[labels.gatewayManaged] !== undefined;
}

function knowsBundle(connection: ConnectionRecord['connection']): boolean {
  const subscription = connection.status().get(trustBundleType);
  return (
    subscription !== undefined &&
    connection.isCaughtUp &&
    subscription.ackedNonce !== '' &&
    subscription.lastError === undefined
  );
}
