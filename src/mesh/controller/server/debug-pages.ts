import { toJson } from '@bufbuild/protobuf';
import { AuthorizationSchema } from '../../xds/gen/istio/authorization_pb.js';
import { ServiceSchema, WorkloadSchema } from '../../xds/gen/istio/workload_pb.js';
import { AuthorizationPolicySchema } from '../../xds/gen/meshctl/l7_pb.js';
import type { DeltaXdsServer } from '../../xds/server/server.js';
import type { MeshConfig } from '../../rules/mesh-config.js';
import type { AmbientIndex } from '../model/ambient-index.js';
import { podOfNode } from '../../xds/server/node-id.js';

export interface DebugPagesDeps {
  readonly index: AmbientIndex;
  readonly xds: DeltaXdsServer;
  readonly clusterId: string;
  /** The mesh options in force. */
  readonly mesh: () => MeshConfig;
}

/** Diagnostic documents by path, as upstream names them. */
export const debugPages: Readonly<Record<string, (deps: DebugPagesDeps) => unknown>> = {
  '/debug': () => Object.keys(debugPages),
  '/debug/list': () => Object.keys(debugPages),
  // One cluster, the controller's own: others are not joined.
  '/debug/clusterz': ({ clusterId }) => [{ id: clusterId, secretName: '', syncStatus: 'synced' }],
  '/debug/mesh': ({ mesh }) => mesh(),
  '/debug/ambientz': ({ index }) => ({
    workloads: index.workloads.list().map(({ message }) => toJson(WorkloadSchema, message)),
    services: index.services.list().map(({ message }) => toJson(ServiceSchema, message)),
    policies: index.authorizations.list().map(({ message }) => toJson(AuthorizationSchema, message)),
    l7Policies: index.l7Policies
      .list()
      .map(({ gateway, message }) => ({ gateway, policy: toJson(AuthorizationPolicySchema, message) })),
  }),
  '/debug/syncz': ({ xds }) =>
    xds.connections.map(({ peer, connectedAtMs, connection }) => ({
      proxy: podOfNode(connection.subscriber).id ?? connection.subscriber.nodeId,
      proxy_type: connection.subscriber.proxyType,
      cluster_id: connection.subscriber.metadata['CLUSTER_ID'] ?? '',
      istio_version: connection.subscriber.metadata['ISTIO_VERSION'] ?? '',
      peer,
      connectedAt: new Date(connectedAtMs).toISOString(),
      isCaughtUp: connection.isCaughtUp,
      resources: Object.fromEntries(
        [...connection.status()].map(([typeUrl, s]) => [
          typeUrl,
          {
            sent: s.sentVersion,
            acked: s.ackedVersion,
            sentTime: s.sentAtMs === undefined ? null : new Date(s.sentAtMs).toISOString(),
            ackedTime: s.ackedAtMs === undefined ? null : new Date(s.ackedAtMs).toISOString(),
            rejects: s.rejectCount,
            lastError: s.lastError ?? null,
          },
        ]),
      ),
    })),
};
