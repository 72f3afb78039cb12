import { expect, test } from 'vitest';
import { waypointOf, type Waypoint } from '#mesh/rules/waypoint.js';
import { bindWaypoint } from '#mesh/rules/waypoint-binding.js';

function waypoint(o: { traffic?: string; from?: string; ready?: boolean; ip?: boolean } = {}): Waypoint {
  return waypointOf(
    {
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'Gateway',
      metadata: {
        namespace: 'infra',
        name: 'w',
        labels: o.traffic === undefined ? {} : { 'istio.io/waypoint-for': o.traffic },
      },
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [
          {
            name: 'mesh',
            port: 15008,
            protocol: 'HBONE',
            allowedRoutes: {
              namespaces: { from: o.from ?? 'All', selector: { matchLabels: { team: 'a' } } },
            },
          },
        ],
      },
      status: {
        addresses:
          o.ready === false
            ? []
            : o.ip === true
              ? [{ type: 'IPAddress', value: '10.96.0.9' }]
              : [
                  { type: 'IPAddress', value: '10.96.0.9' },
                  { type: 'Hostname', value: 'w.infra.svc.cluster.local' },
                ],
      },
    },
    undefined,
  );
}

const named = { 'istio.io/use-waypoint': 'w', 'istio.io/use-waypoint-namespace': 'infra' };

function bind(o: {
  own?: Record<string, string>;
  namespace?: Record<string, string>;
  traffic?: 'service' | 'workload';
  waypoint?: Waypoint | undefined;
  policy?: 'closed' | 'open';
}) {
  return bindWaypoint({
    namespace: 'shop',
    labels: o.own ?? {},
    namespaceLabels: o.namespace ?? {},
    traffic: o.traffic ?? 'service',
    getWaypoint: (key) => (key === 'infra/w' ? o.waypoint : undefined),
    failurePolicy: o.policy ?? 'closed',
    clusterDomain: 'cluster.local',
    network: '',
  });
}

const bound = (problem?: string) => ({ kind: 'bound', waypoint: 'infra/w', problem });
const refused = (problem: string) => ({ kind: 'refused', waypoint: 'infra/w', problem });
const none = { kind: 'none' };

test.each<[string, Parameters<typeof bind>[0], object]>([
  ['no label', { waypoint: waypoint() }, none],
  ['own label', { own: named, waypoint: waypoint() }, bound()],
  ['inherited label', { namespace: named, waypoint: waypoint() }, bound()],
  [
    'own opt-out beats the namespace',
    { own: { 'istio.io/use-waypoint': 'none' }, namespace: named, waypoint: waypoint() },
    none,
  ],
  [
    'own name without namespace is in the own namespace',
    { own: { 'istio.io/use-waypoint': 'w' }, waypoint: waypoint() },
    { kind: 'bound', waypoint: 'shop/w', problem: 'WaypointIsNotReady' },
  ],
  [
    'workload under a service waypoint of its namespace',
    { traffic: 'workload', namespace: named, waypoint: waypoint() },
    none,
  ],
  [
    'workload naming a service waypoint itself',
    { traffic: 'workload', own: named, waypoint: waypoint() },
    refused('UnsupportedTrafficType'),
  ],
  [
    'workload under one for all',
    { traffic: 'workload', namespace: named, waypoint: waypoint({ traffic: 'all' }) },
    bound(),
  ],
  [
    'service under one for workloads',
    { namespace: named, waypoint: waypoint({ traffic: 'workload' }) },
    refused('UnsupportedTrafficType'),
  ],
  [
    'one for nothing',
    { own: named, waypoint: waypoint({ traffic: 'none' }) },
    refused('UnsupportedTrafficType'),
  ],
  [
    'another namespace where only its own is allowed',
    { own: named, waypoint: waypoint({ from: 'Same' }) },
    refused('AttachmentDenied'),
  ],
  [
    'a namespace that is not selected',
    { own: named, waypoint: waypoint({ from: 'Selector' }) },
    refused('AttachmentDenied'),
  ],
  [
    'a namespace that is selected',
    { namespace: { ...named, team: 'a' }, waypoint: waypoint({ from: 'Selector' }) },
    bound(),
  ],
  ['missing: bound all the same', { own: named }, bound('WaypointIsNotReady')],
  [
    'not ready: bound all the same',
    { own: named, waypoint: waypoint({ ready: false }) },
    bound('WaypointIsNotReady'),
  ],
  ['missing, failing open', { own: named, policy: 'open' }, refused('WaypointIsNotReady')],
  ['missing, named by a pod itself', { traffic: 'workload', own: named }, bound('WaypointIsNotReady')],
  ['missing, inherited by a pod', { traffic: 'workload', namespace: named }, none],
])('%s', (_name, input, expected) => {
  expect(bind(input)).toMatchObject(expected);
});

test('the address is the host name, else the IP, else the name the Service will have', () => {
  const hostname = {
    destination: { case: 'hostname', value: { namespace: 'infra', hostname: 'w.infra.svc.cluster.local' } },
    hboneMtlsPort: 15008,
  };
  expect(bind({ own: named, waypoint: waypoint() })).toMatchObject({ address: hostname });
  expect(bind({ own: named })).toMatchObject({ address: hostname });
  expect(bind({ own: named, waypoint: waypoint({ ip: true }) })).toMatchObject({
    address: { destination: { case: 'address', value: { address: Uint8Array.of(10, 96, 0, 9) } } },
  });
});
