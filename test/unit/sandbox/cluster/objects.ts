import type { Deployment, EndpointSlice, Node, Pod, ReplicaSet, Service } from '#base/kube/types.js';

/** A pod with defaults; tests name what matters. */
export function makePod(o: {
  name?: string;
  node?: string;
  labels?: Record<string, string>;
  ready?: boolean;
  phase?: string;
  terminating?: boolean;
  ip?: string;
  spec?: Partial<Pod['spec']>;
  readySince?: string;
  owner?: string;
  annotations?: Record<string, string>;
}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: o.name ?? 'p',
      namespace: 'ns',
      uid: `uid-${o.name ?? 'p'}`,
      labels: o.labels ?? {},
      annotations: o.annotations ?? {},
      ...(o.terminating === true ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
      ...(o.owner === undefined
        ? {}
        : {
            ownerReferences: [
              { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: o.owner, uid: o.owner, controller: true },
            ],
          }),
    },
    spec: {
      containers: [{ name: 'main', image: 'x' }],
      ...(o.node === undefined ? {} : { nodeName: o.node }),
      ...o.spec,
    },
    status: {
      phase: o.phase ?? 'Running',
      ...(o.ip === undefined ? {} : { podIP: o.ip, podIPs: [{ ip: o.ip }] }),
      conditions: [
        {
          type: 'Ready',
          status: (o.ready ?? true) ? 'True' : 'False',
          lastTransitionTime: o.readySince ?? '2026-01-01T00:00:00Z',
        },
      ],
    },
  };
}

export function makeNode(
  name: string,
  o: { labels?: Record<string, string>; spec?: Node['spec']; allocatable?: Record<string, string> } = {},
): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...o.labels } },
    ...(o.spec === undefined ? {} : { spec: o.spec }),
    status: {
      conditions: [{ type: 'Ready', status: 'True' }],
      ...(o.allocatable === undefined ? {} : { allocatable: o.allocatable }),
    },
  };
}

export function makeSet(
  name: string,
  o: { size: number; available?: number; desired?: number; max?: number },
): ReplicaSet {
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name,
      namespace: 'ns',
      annotations: {
        ...(o.desired === undefined
          ? {}
          : { 'deployment.kubernetes.io/desired-replicas': String(o.desired) }),
        ...(o.max === undefined ? {} : { 'deployment.kubernetes.io/max-replicas': String(o.max) }),
      },
    },
    spec: { replicas: o.size, selector: {} },
    status: { replicas: o.size, availableReplicas: o.available ?? o.size },
  };
}

export function makeDeployment(
  spec: Partial<Deployment['spec']>,
  status: Deployment['status'] = {},
): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'd', namespace: 'ns', generation: 1 },
    spec: { selector: {}, template: { spec: { containers: [] } }, ...spec },
    status,
  };
}

export function makeService(
  name: string,
  spec: Partial<Service['spec']> = {},
  status?: Service['status'],
): Service {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'ns' },
    spec: { clusterIP: '10.96.0.5', ports: [{ port: 80 }], ...spec },
    ...(status === undefined ? {} : { status }),
  };
}

export function makeSlice(
  service: string,
  endpoints: NonNullable<EndpointSlice['endpoints']>,
  ports: NonNullable<EndpointSlice['ports']> = [{ name: '', port: 8080, protocol: 'TCP' }],
): EndpointSlice {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: `${service}-1`, namespace: 'ns', labels: { 'kubernetes.io/service-name': service } },
    addressType: 'IPv4',
    endpoints,
    ports,
  };
}
