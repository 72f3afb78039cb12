import type { EndpointSlice, KubeObject, Namespace, Node, Pod, Service } from '#base/kube/types.js';

/** Shape of the generated clusters: what people report of theirs, rounded. */
const podsPerNamespace = 5_000;
const podsPerService = 10;
const podsPerNode = 100;
const nodesMin = 3;

/**
 * A cluster as its API server shows it: nodes, namespaces of 500 pods, and a Service of ten pods each with its
 * EndpointSlice. Objects carry what real ones carry, whether the mesh reads it or not; the same numbers make the same
 * objects.
 */
export class SyntheticCluster {
  readonly podCount: number;

  constructor(podCount: number) {
    this.podCount = podCount;
  }

  get serviceCount(): number {
    return Math.ceil(this.podCount / podsPerService);
  }

  *nodes(): Iterable<Node> {
    const count = Math.max(nodesMin, Math.ceil(this.podCount / podsPerNode));
    for (let i = 0; i < count; i++) {
      yield stamped<Node>({
        apiVersion: 'v1',
        kind: 'Node',
        metadata: {
          name: nodeName(i),
          labels: {
            'kubernetes.io/hostname': nodeName(i),
            'topology.kubernetes.io/region': 'region-1',
            'topology.kubernetes.io/zone': `region-1-${'abc'[i % 3]}`,
          },
        },
      });
    }
  }

  *namespaces(): Iterable<Namespace> {
    yield namespace('istio-system', {});
    for (let i = 0; i * podsPerNamespace < this.podCount; i++) {
      yield namespace(namespaceOfPod(i * podsPerNamespace), { 'istio.io/dataplane-mode': 'ambient' });
    }
  }

  /** The n-th pod, ready or not. */
  pod(index: number, isReady = true): Pod {
    return podOf(index, {
      node: nodeName(index % Math.max(nodesMin, Math.ceil(this.podCount / podsPerNode))),
      isReady,
    });
  }

  /** The n-th Service. */
  service(index: number): Service {
    return serviceOf(index);
  }

  /** The slice of the n-th Service; `notReady` is the number of a pod that is not. */
  slice(index: number, notReady = -1): EndpointSlice {
    const first = index * podsPerService;
    const last = Math.min(first + podsPerService, this.podCount);
    return stamped<EndpointSlice>({
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: {
        namespace: namespaceOfPod(first),
        name: `${serviceName(index)}-x7k2p`,
        labels: {
          'kubernetes.io/service-name': serviceName(index),
          'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
        },
      },
      addressType: 'IPv4',
      ports: [
        { name: 'http', port: 8080, protocol: 'TCP' },
        { name: 'metrics', port: 9090, protocol: 'TCP' },
      ],
      endpoints: Array.from({ length: last - first }, (_, i) => ({
        addresses: [podIp(first + i)],
        conditions: { ready: first + i !== notReady, serving: first + i !== notReady, terminating: false },
        nodeName: nodeName((first + i) % Math.max(nodesMin, Math.ceil(this.podCount / podsPerNode))),
        targetRef: {
          kind: 'Pod',
          namespace: namespaceOfPod(first),
          name: podName(first + i),
          uid: uid('pod', first + i),
        },
      })),
    });
  }

  /** The slice that lists a pod, with that pod not ready. */
  sliceOfPod(podIndex: number): EndpointSlice {
    return this.slice(Math.floor(podIndex / podsPerService), podIndex);
  }

  /** A Service with 100 endpoints outside the cluster, listed by hand; one of them, another each round, is not ready. */
  handMade(round: number): { readonly service: Service; readonly slice: EndpointSlice } {
    const { spec, metadata, ...type } = serviceOf(0);
    const { selector: _selector, ...rest } = spec;
    const twin = this.slice(0);
    return {
      service: { ...type, metadata: { ...metadata, name: 'by-hand' }, spec: rest },
      slice: {
        ...twin,
        metadata: { ...twin.metadata, name: 'by-hand', labels: { 'kubernetes.io/service-name': 'by-hand' } },
        endpoints: Array.from({ length: 100 }, (_, i) => ({
          addresses: [`192.0.2.${i}`],
          conditions: { ready: i !== round % 100 },
        })),
      },
    };
  }

  /** A Service beside the generated ones that selects the pods of the n-th. */
  addedService(index: number, generation = 0): Service {
    const twin = serviceOf(index);
    return stamped<Service>({
      ...twin,
      metadata: {
        ...twin.metadata,
        name: `${twin.metadata.name}-added-${generation}`,
        uid: uid('added', index),
      },
      spec: { ...twin.spec, clusterIP: '10.99.0.1', clusterIPs: ['10.99.0.1'] },
    });
  }
}

/** Resource name of a pod's workload. */
export function podUidOf({ metadata: { namespace, name } }: Pod): string {
  return `Kubernetes//Pod/${namespace}/${name}`;
}

function podIp(index: number): string {
  return `10.${64 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
}

function namespaceOfPod(index: number): string {
  return `team-${Math.floor(index / podsPerNamespace)}`;
}

function nodeName(index: number): string {
  return `node-${index}.region-1.compute.internal`;
}

function serviceName(index: number): string {
  return `service-${index}`;
}

/** Two random-looking parts, as a ReplicaSet makes them. */
function podName(index: number): string {
  return `${serviceName(Math.floor(index / podsPerService))}-${hash(index)}-${(index * 7919).toString(36).padStart(5, '0').slice(-5)}`;
}

function hash(index: number): string {
  return (Math.floor(index / podsPerService) * 2_654_435_761).toString(36).slice(0, 9);
}

function uid(kind: string, index: number): string {
  const hex = index.toString(16).padStart(12, '0');
  return `${kind === 'pod' ? '8f1e' : '77aa'}0c2d-51b7-4c0e-9d3a-${hex}`;
}

function namespace(name: string, labels: Record<string, string>): Namespace {
  return stamped<Namespace>({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } },
  });
}

function serviceOf(index: number): Service {
  const app = serviceName(index);
  const ip = `10.${96 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
  return stamped<Service>({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      namespace: namespaceOfPod(index * podsPerService),
      name: app,
      uid: uid('service', index),
      labels: { 'app.kubernetes.io/name': app, 'app.kubernetes.io/part-of': 'shop' },
    },
    spec: {
      type: 'ClusterIP',
      clusterIP: ip,
      clusterIPs: [ip],
      ipFamilies: ['IPv4'],
      selector: { 'app.kubernetes.io/name': app, 'app.kubernetes.io/part-of': 'shop' },
      ports: [
        { name: 'http', port: 80, protocol: 'TCP', targetPort: 'http' },
        { name: 'metrics', port: 9090, protocol: 'TCP', targetPort: 9090 },
      ],
    },
  });
}

function podOf(index: number, o: { readonly node: string; readonly isReady: boolean }): Pod {
  const app = serviceName(Math.floor(index / podsPerService));
  const status = o.isReady ? 'True' : 'False';
  const condition = (type: string, value: 'True' | 'False') => ({
    type,
    status: value,
    lastProbeTime: null,
    lastTransitionTime: '2026-08-01T10:00:05Z',
  });
  const container = (name: string, port: { name: string; containerPort: number }) => ({
    name,
    image: `registry.example/shop/${name}:1.${index % 10}.0`,
    ports: [{ ...port, protocol: 'TCP' }],
    env: Array.from({ length: 6 }, (_, i) => ({ name: `SETTING_${i}`, value: `value of setting ${i}` })),
    resources: { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '256Mi' } },
    volumeMounts: [
      { name: 'token', mountPath: '/var/run/secrets/kubernetes.io/serviceaccount', readOnly: true },
    ],
    livenessProbe: { httpGet: { path: '/healthz', port: port.name }, periodSeconds: 10 },
    readinessProbe: { httpGet: { path: '/ready', port: port.name }, periodSeconds: 5 },
  });
  return stamped<Pod>({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      namespace: namespaceOfPod(index),
      name: podName(index),
      generateName: `${app}-${hash(index)}-`,
      uid: uid('pod', index),
      labels: {
        'app.kubernetes.io/name': app,
        'app.kubernetes.io/part-of': 'shop',
        'app.kubernetes.io/version': `1.${index % 3}`,
        'pod-template-hash': hash(index),
      },
      annotations: { 'ambient.istio.io/redirection': 'enabled', 'prometheus.io/scrape': 'true' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `${app}-${hash(index)}`,
          uid: uid('rs', index),
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
    },
    spec: {
      nodeName: o.node,
      serviceAccountName: app,
      containers: [
        container('app', { name: 'http', containerPort: 8080 }),
        container('exporter', { name: 'metrics', containerPort: 9090 }),
      ],
    },
    status: {
      phase: 'Running',
      podIP: podIp(index),
      podIPs: [{ ip: podIp(index) }],
      conditions: [
        condition('PodScheduled', 'True'),
        condition('Initialized', 'True'),
        condition('ContainersReady', status),
        condition('Ready', status),
      ],
    },
  });
}

let version = 0;

/** With what every object of an API server carries: a version, a time, and who manages which field. */
function stamped<T extends KubeObject>(object: T): T {
  version += 1;
  return {
    ...object,
    metadata: {
      creationTimestamp: '2026-08-01T10:00:00Z',
      resourceVersion: String(version),
      managedFields: [
        {
          manager: 'kube-controller-manager',
          operation: 'Update',
          apiVersion: object.apiVersion,
          time: '2026-08-01T10:00:00Z',
          fieldsType: 'FieldsV1',
          fieldsV1: { 'f:metadata': { 'f:labels': { '.': {} } }, 'f:spec': { 'f:containers': { '.': {} } } },
        },
      ],
      ...object.metadata,
    },
  } as T;
}
