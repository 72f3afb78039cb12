import { create, toBinary } from '@bufbuild/protobuf';
import { ipToBytes } from '#base/net/address.js';
import type { ServedDestination } from '#mesh/gateway/connection/connection-context.js';
import { resolveDestination } from '#mesh/gateway/connection/destination.js';
import { Backends } from '#mesh/gateway/upstream/backends.js';
import { MeshView } from '#mesh/view/mesh-view.js';
import { AddressSchema, TunnelProtocol } from '#mesh/xds/gen/istio/workload_pb.js';
import { resolveOutbound } from '#mesh/ztunnel/routing/outbound.js';
import type { Measurements } from './measurements.js';
import { ClientAffinity } from '#mesh/view/client-affinity.js';

/** Sizes of the service; the first one is what the others are compared with. */
export const hostCounts = [3, 300, 3_000] as const;

const rounds = 5;
const picksPerRound = 100_000;
/** One changed host for so many picks, about what a service of 3,000 sees at a rollout and 50 calls a second. */
const picksPerChange = 10;

const hostname = (name: string) => `${name}.shop.svc.cluster.local`;
const [serviceIp, clientIp, gatewayIp] = ['10.96.0.7', '10.8.0.1', '10.8.0.2'];

/**
 * Time of one decision in microseconds: ztunnel's about an outbound connection, and the L7 proxy's choice of an
 * endpoint for a request, of hosts of different capacity; and the first with hosts that keep changing.
 */
export function measureHostPick(measurements: Measurements): void {
  const cases = hostCounts.map((count) => ({ count, ...setUp(count) }));
  // The first round of each is for the compiler.
  for (let round = -1; round < rounds; round++) {
    for (const { count, picks } of cases) {
      for (const [name, pick] of Object.entries(picks)) {
        const startedAt = performance.now();
        for (let i = 0; i < picksPerRound; i++) pick(i);
        const tookUs = ((performance.now() - startedAt) * 1_000) / picksPerRound;
        if (round >= 0) measurements.record(`pick ${name} ${count}`, tookUs);
      }
    }
  }
}

function setUp(count: number): { picks: Readonly<Record<string, (i: number) => void>> } {
  const view = new MeshView();
  addService(view, 'direct', serviceIp, {});
  const waypoint = { namespace: 'shop', hostname: hostname('waypoint') };
  addService(view, 'bound', '10.96.0.8', {
    waypoint: { destination: { case: 'hostname', value: waypoint }, hboneMtlsPort: 15008 },
  });
  addWorkload(view, 'client', clientIp, 1);
  const hosts = Array.from({ length: count }, (_, i) => () => {
    addWorkload(view, `host-${i}`, `10.1.${i >> 8}.${i & 255}`, 1 + (i % 4));
  });
  for (const add of hosts) add();
  const source = view.workload('Kubernetes//Pod/shop/client');
  const destination = served(view, { ...waypoint, network: '', podIp: gatewayIp });
  if (source === undefined) throw new Error('the client is not known');
  const backends = new Backends(view, { network: '', clusterId: 'Kubernetes', node: 'n1', ip: gatewayIp });
  const request = {
    source,
    destination: { host: serviceIp, port: 80 },
    random: Math.random,
    affinity: new ClientAffinity(),
  };
  const call = { destination, peerAddress: { ip: clientIp, port: 40_000 } };
  const nobody = new Set<string>();
  const ztunnel = (): void => {
    if (resolveOutbound(view, request).kind !== 'hbone') throw new Error('no host was picked');
  };
  const gateway = (): void => {
    if (backends.pick(call, nobody) === undefined) throw new Error('no host was picked');
  };
  const changing = (i: number): void => {
    if (i % picksPerChange === 0) hosts[(i / picksPerChange) % hosts.length]?.();
    ztunnel();
  };
  return { picks: { ztunnel, gateway, changing } };
}

function served(view: MeshView, self: Parameters<typeof resolveDestination>[1]): ServedDestination {
  const found = resolveDestination(view, self, { authority: '10.96.0.8:80', clientNamespace: 'shop' });
  if (found.kind === 'refused') throw new Error(found.reason);
  return found;
}

function addService(view: MeshView, name: string, ip: string, more: object): void {
  upsert(view, {
    case: 'service',
    value: {
      name,
      namespace: 'shop',
      hostname: hostname(name),
      addresses: [{ address: ipToBytes(ip) }],
      ports: [{ servicePort: 80, targetPort: 8080 }],
      ...more,
    },
  });
}

function addWorkload(view: MeshView, name: string, ip: string, capacity: number): void {
  const ports = [{ servicePort: 80, targetPort: 8080 }];
  upsert(view, {
    case: 'workload',
    value: {
      uid: `Kubernetes//Pod/shop/${name}`,
      name,
      namespace: 'shop',
      addresses: [ipToBytes(ip)],
      tunnelProtocol: TunnelProtocol.HBONE,
      capacity,
      services: {
        [`shop/${hostname('direct')}`]: { ports },
        [`shop/${hostname('bound')}`]: { ports },
      },
    },
  });
}

function upsert(view: MeshView, type: object): void {
  const value = toBinary(AddressSchema, create(AddressSchema, { type } as never));
  view.upsert({ name: '', version: '', value });
}
