import { familyOf } from '#base/net/address.js';
import { isObject, type JsonObject } from '../base/json.js';
import type { ApiObject } from './object.js';
import { systemUser } from './user.js';
import { bootstrapRbac } from './rbac/bootstrap-roles.js';
import type { Operations } from './registry/operations.js';

/** Where the `kubernetes` service leads. */
export interface ServerAddress {
  /** An IP address that pods can reach the server at. */
  readonly host: string;
  readonly port: number;
}

const namespaces = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

const priorityClasses: readonly JsonObject[] = [
  ['system-cluster-critical', 2_000_000_000],
  ['system-node-critical', 2_000_001_000],
].map(([name, value]) => ({
  apiVersion: 'scheduling.k8s.io/v1',
  kind: 'PriorityClass',
  metadata: { name },
  value,
  description: 'Kept running before everything a user starts.',
}));

export interface BootstrapOptions {
  readonly address: ServerAddress;
  /** The cluster IP of the `kubernetes` service. */
  readonly serviceIp: string;
  /** The ConfigMap in which other API servers find whom to trust. */
  readonly authentication: JsonObject;
}

/** Creates, or brings up to date, what every cluster has from the start. */
export async function bootstrap(
  operations: Operations,
  { address, serviceIp, authentication }: BootstrapOptions,
): Promise<void> {
  const ensure = async (object: JsonObject): Promise<void> => {
    // Written out in full below and in bootstrapRbac.
    const body = object as ApiObject;
    const resource = operations.registry.findKind(body.apiVersion, body.kind);
    if (resource === undefined) throw new Error(`${body.apiVersion} ${body.kind} is not served`);
    const { name, namespace } = body.metadata;
    const options = { user: systemUser, manager: 'kube-apiserver' };
    if (operations.store.get(resource.storage, namespace, name) === undefined) {
      await operations.create(resource, namespace, body, options);
      return;
    }
    await operations.modify(
      resource,
      { namespace, name },
      (current) => {
        const next: ApiObject = { ...current, ...body, metadata: current.metadata };
        // Addresses given out and rules aggregated since stay.
        if (isObject(current.spec)) next.spec = current.spec;
        if (body.aggregationRule !== undefined) next.rules = current.rules ?? [];
        return structuredClone(next);
      },
      options,
    );
  };
  // The scheduler and the controllers are clients that this server knows nothing of; its store it knows.
  await ensure({
    apiVersion: 'v1',
    kind: 'ComponentStatus',
    metadata: { name: 'etcd-0' },
    conditions: [{ type: 'Healthy', status: 'True', message: 'ok' }],
  });
  for (const name of namespaces) await ensure({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  for (const object of [...bootstrapRbac(), ...priorityClasses, authentication]) await ensure(object);
  await ensure({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { component: 'apiserver', provider: 'kubernetes' },
    },
    spec: {
      type: 'ClusterIP',
      clusterIP: serviceIp,
      clusterIPs: [serviceIp],
      sessionAffinity: 'None',
      ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: address.port }],
    },
  });
  // An address that no pod can reach is none: endpoints may not lie in the loopback range.
  if (/^127\.|^::1$/.test(address.host)) return;
  await ensure({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
    },
    subsets: [
      { addresses: [{ ip: address.host }], ports: [{ name: 'https', port: address.port, protocol: 'TCP' }] },
    ],
  });
  await ensure({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': 'kubernetes' },
    },
    addressType: familyOf(address.host),
    endpoints: [
      { addresses: [address.host], conditions: { ready: true, serving: true, terminating: false } },
    ],
    ports: [{ name: 'https', port: address.port, protocol: 'TCP' }],
  });
}
