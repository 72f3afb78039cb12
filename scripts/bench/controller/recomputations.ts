import { create } from '@bufbuild/protobuf';
import type { KubeObject } from '#base/kube/types.js';
import { objectKey } from '#mesh/controller/model/inputs.js';
import { type KindName, kinds } from '#mesh/controller/model/kinds.js';
import { MeshState } from '#mesh/controller/model/mesh-state.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';
import { DeltaDiscoveryRequestSchema } from '#mesh/xds/gen/envoy/discovery_pb.js';
import { Connection } from '#mesh/xds/server/connection.js';
import { Push } from '#mesh/xds/server/push.js';
import { addressType } from '#mesh/xds/type-urls.js';
import { SyntheticCluster } from './synthetic-cluster.js';

const streamCount = 100;
const rounds = 200;

/**
 * CPU time of a change, from the object the API server sent to the bytes handed to 100 streams: medians in
 * milliseconds, of a mesh state without a network around it.
 */
export async function measureRecomputations(podCount: number): Promise<Record<string, number>> {
  const cluster = new SyntheticCluster(podCount);
  const connections: Connection[] = [];
  const state = new MeshState({
    cluster: { clusterId: 'Kubernetes', clusterDomain: 'cluster.local', network: '' },
    mesh: defaultMeshConfig('istio-system'),
    onPush: (changed) => {
      const push = new Push(changed);
      for (const connection of connections) connection.push(push);
    },
    onError: (key, error) => {
      throw new Error(key, { cause: error });
    },
  });
  const feed = (kind: KindName, object: KubeObject) => {
    const facts = kinds[kind].facts as (of: KubeObject) => never;
    state.inputs[kind].set(objectKey(object), facts(object));
  };
  for (const object of cluster.nodes()) feed('nodes', object);
  for (const object of cluster.namespaces()) feed('namespaces', object);
  for (let i = 0; i < podCount; i++) feed('pods', cluster.pod(i));
  for (let i = 0; i < cluster.serviceCount; i++) {
    feed('services', cluster.service(i));
    feed('slices', cluster.slice(i));
  }
  const byHand = cluster.handMade(0);
  feed('services', byHand.service);
  feed('slices', byHand.slice);
  state.run();
  let writtenBytes = 0;
  for (let i = 0; i < streamCount; i++) {
    const connection = new Connection({
      stream: {
        write: (bytes) => {
          writtenBytes += bytes.length;
          return Promise.resolve();
        },
        setReading: () => undefined,
        fail: (reason) => {
          throw new Error(reason);
        },
      },
      subscriber: { nodeId: `ztunnel~${i}`, proxyType: 'ztunnel', metadata: {} },
      sources: state.sources,
      events: { request: () => undefined, sent: () => undefined },
      currentVersion: () => state.version,
      now: Date.now,
    });
    connection.receive(create(DeltaDiscoveryRequestSchema, { typeUrl: addressType }));
    connections.push(connection);
  }
  await settled();
  const samples: Record<string, number[]> = {};
  const measure = async (name: string, change: () => void) => {
    const before = writtenBytes;
    const usage = process.cpuUsage();
    change();
    state.flush();
    await settled();
    const { user, system } = process.cpuUsage(usage);
    (samples[name] ??= []).push((user + system) / 1_000);
    if (writtenBytes === before) throw new Error(`${name} pushed nothing`);
  };
  for (let round = 1; round <= rounds; round++) {
    const added = cluster.addedService(round % cluster.serviceCount, round);
    await measure('endpoint', () => feed('slices', cluster.handMade(round).slice));
    await measure('pod', () => feed('pods', cluster.pod(round, false)));
    await measure('service', () => feed('services', added));
  }
  return Object.fromEntries(
    Object.entries(samples).map(([name, values]) => [name, values.sort((a, b) => a - b)[rounds / 2] ?? 0]),
  );
}

/** Everything that runs in the turn of a change, and what that leaves for the next. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
