import { describe, expect, test } from 'vitest';
import {
  type GatewayStatus,
  undeployedStatus,
  unmanagedStatus,
  waypointStatus,
} from '#mesh/controller/gateway/gateway-status.js';
import { readTemplateFiles } from '#mesh/templates/files.js';
import { createWaypointRenderer, servicePorts } from '#mesh/controller/gateway/waypoint-objects.js';
import type { Deployment, Gateway, GatewayListener, Service } from '#base/kube/types.js';

const mesh: GatewayListener = { name: 'mesh', port: 15008, protocol: 'HBONE' };

function gateway(
  o: {
    listeners?: GatewayListener[];
    spec?: Partial<Gateway['spec']>;
    metadata?: Partial<Gateway['metadata']>;
    status?: Gateway['status'];
  } = {},
): Gateway {
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'w', namespace: 'shop', uid: 'u1', generation: 3, ...o.metadata },
    spec: { gatewayClassName: 'istio-waypoint', listeners: o.listeners ?? [mesh], ...o.spec },
    ...(o.status === undefined ? {} : { status: o.status }),
  };
}

const addresses = [
  { type: 'IPAddress', value: '10.96.0.9' },
  { type: 'Hostname', value: 'w.shop.svc.cluster.local' },
];
const short = (status: GatewayStatus) =>
  status.conditions.map(({ type, status: value, reason }) => `${type}=${value} ${reason}`);

describe('status of a waypoint', () => {
  const state = { addresses, readyPodCount: 1, podCount: 1, problem: undefined };

  test('is programmed with addresses once a pod is ready', () => {
    const status = waypointStatus(gateway(), state);
    expect(short(status)).toEqual(['Accepted=True Accepted', 'Programmed=True Programmed']);
    expect(status.addresses).toEqual(addresses);
    expect(status.listeners).toMatchObject([{ name: 'mesh', attachedRoutes: 0, supportedKinds: [] }]);
    expect(status.conditions[0]).toMatchObject({ observedGeneration: 3 });
  });

  test('says nothing of addresses without a ready pod: what was reported once stays', () => {
    const unready = { ...state, readyPodCount: 0 };
    const first = waypointStatus(gateway(), unready);
    expect(short(first)).toEqual(['Accepted=True Accepted', 'Programmed=False AddressNotAssigned']);
    expect(first.addresses).toBeUndefined();
  });

  test.each([
    [[{ name: 'web', port: 80, protocol: 'HTTP' }], 'Accepted=False ListenersNotValid'],
    [[mesh, { name: 'web', port: 80, protocol: 'HTTP' }], 'Accepted=True ListenersNotValid'],
    [[{ name: 'mesh', port: 15009, protocol: 'HBONE' }], 'Accepted=False ListenersNotValid'],
  ])('with listeners %j is %s', (listeners, expected) => {
    expect(short(waypointStatus(gateway({ listeners }), state))[0]).toBe(expected);
  });
});

test('a Gateway run elsewhere is what its spec says; one not deployed claims nothing', () => {
  const remote = gateway({ spec: { addresses: [{ value: '1.2.3.4' }] } });
  expect(unmanagedStatus(remote)).toMatchObject({ addresses: [{ type: 'IPAddress', value: '1.2.3.4' }] });
  expect(short(undeployedStatus(gateway()))).toEqual(['Accepted=False Pending', 'Programmed=False Pending']);
});

describe('objects of a waypoint', () => {
  const render = createWaypointRenderer(readTemplateFiles(), {
    image: 'hub/waypoint:1',
    imagePullPolicy: 'IfNotPresent',
    imagePullSecrets: [],
    logFormat: 'plain',
    resources: { requests: { cpu: '1m' } },
    revision: 'default',
    clusterDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    network: '',
    discoveryAddress: 'istiod.istio-system.svc:15012',
  });
  const objects = (of: Gateway) => {
    const all = render(of, {
      controllerName: 'istio.io/mesh-controller',
      names: { trustDomain: 'cluster.local', trustDomainAliases: [] },
    });
    return Object.fromEntries(all.map(({ object }) => [object.kind, object]));
  };

  test('belong to the Gateway, carry its marks, and leave no placeholder', () => {
    const all = objects(gateway());
    expect(Object.keys(all)).toEqual(['ServiceAccount', 'Deployment', 'Service']);
    for (const object of Object.values(all)) {
      expect(object.metadata).toMatchObject({
        name: 'w',
        namespace: 'shop',
        ownerReferences: [{ kind: 'Gateway', name: 'w', uid: 'u1' }],
        labels: {
          'gateway.networking.k8s.io/gateway-name': 'w',
          'gateway.networking.k8s.io/gateway-class-name': 'istio-waypoint',
          'gateway.istio.io/managed': 'istio.io-mesh-controller',
        },
      });
    }
    expect(JSON.stringify(all)).not.toMatch(/\$\{/);
    const deployment = all['Deployment'] as Deployment;
    expect(deployment.spec).not.toHaveProperty('replicas');
    expect(deployment.spec.selector.matchLabels).toEqual({ 'gateway.networking.k8s.io/gateway-name': 'w' });
    const [container] = deployment.spec.template.spec.containers;
    expect(container).toMatchObject({ image: 'hub/waypoint:1', resources: { requests: { cpu: '1m' } } });
    expect(container?.args?.slice(0, 4)).toEqual([
      'proxy',
      'waypoint',
      '--domain',
      '$(POD_NAMESPACE).svc.cluster.local',
    ]);
    expect((all['Service'] as Service).spec.type).toBe('ClusterIP');
  });

  test('take labels from infrastructure, else from the Gateway, never its private annotations', () => {
    const metadata = {
      labels: { team: 'a', 'gateway.networking.k8s.io/gateway-name': 'forged' },
      annotations: { note: 'x', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    };
    const copied = objects(gateway({ metadata }))['Service'];
    expect(copied?.metadata.labels).toMatchObject({
      team: 'a',
      'gateway.networking.k8s.io/gateway-name': 'w',
    });
    expect(copied?.metadata.annotations).toMatchObject({ note: 'x' });
    expect(copied?.metadata.annotations).not.toHaveProperty(
      'kubectl.kubernetes.io/last-applied-configuration',
    );
    const infrastructure = { labels: { cost: 'b' } };
    const own = objects(gateway({ metadata, spec: { infrastructure } }))['Service'];
    expect(own?.metadata.labels).toMatchObject({ cost: 'b' });
    expect(own?.metadata.labels).not.toHaveProperty('team');
  });

  test('a service type and account can be asked for by annotation', () => {
    const all = objects(
      gateway({
        metadata: {
          annotations: {
            'networking.istio.io/service-type': 'NodePort',
            'gateway.istio.io/service-account': 'mine',
          },
        },
      }),
    );
    expect((all['Service'] as Service).spec.type).toBe('NodePort');
    expect(all['ServiceAccount']?.metadata.name).toBe('mine');
    expect((all['Deployment'] as Deployment).spec.template.spec.serviceAccountName).toBe('mine');
  });

  test('ports: status first, one for each number, names unique and short enough', () => {
    const listeners = [
      { name: 'a.b', port: 15008, protocol: 'HBONE' },
      { name: 'twin', port: 15008, protocol: 'HBONE' },
      { name: 'a-b', port: 80, protocol: 'HTTP' },
      { name: 'x'.repeat(70), port: 81, protocol: 'HTTP' },
    ];
    const ports = servicePorts(gateway({ listeners }));
    expect(ports.map(({ port }) => port)).toEqual([15021, 15008, 80, 81]);
    expect(new Set(ports.map(({ name }) => name)).size).toBe(4);
    expect(ports.every(({ name }) => (name ?? '').length <= 63)).toBe(true);
    expect(ports[1]).toMatchObject({ name: 'a-b', appProtocol: 'hbone' });
  });
});
