import { readFileSync } from 'node:fs';
import { fromBinary } from '@bufbuild/protobuf';
import { parse } from 'yaml';
import * as resources from '#base/kube/resource.js';
import type { ConfigMap, KubeObject, Namespace, Pod, Service } from '#base/kube/types.js';
import { kinds, type KindName } from '#mesh/controller/model/kinds.js';
import { meshKey, objectKey } from '#mesh/controller/model/inputs.js';
import { MeshState } from '#mesh/controller/model/mesh-state.js';
import { L4PolicyStore } from '#mesh/policy/l4/l4-policy-store.js';
import type { EnrollmentRules } from '#mesh/rules/enrollment.js';
import { enrollmentConfigMap, parseEnrollmentRules } from '#mesh/rules/enrollment-config.js';
import {
  defaultMeshConfig,
  type MeshConfig,
  meshConfigMap,
  parseMeshConfig,
} from '#mesh/rules/mesh-config.js';
import { MeshView } from '#mesh/view/mesh-view.js';
import type { KnownWorkload } from '#mesh/view/known.js';
import { ResourceSchema } from '#mesh/xds/gen/envoy/discovery_pb.js';
import type { XdsResource } from '#mesh/xds/client/delta-client.js';
import type { WireResource } from '#mesh/xds/server/resource.js';
import { ztunnelStateDump } from '#mesh/ztunnel/admin/config-dump.js';
import { parseZtunnelDump, type ZtunnelDump } from '#mesh/inspect/ztunnel-dump.js';

/** One case of a rule: objects of a cluster, and what the rule makes of them. */
export interface RuleVector<E> {
  readonly name: string;
  /** The object asked about, `Kind namespace/name`, where the rule is about one. */
  readonly of?: string;
  readonly given: readonly KubeObject[];
  /** The API server takes no such object: for those who read objects from elsewhere. */
  readonly isRefusedByApi?: boolean;
  readonly expect: E;
}

export const systemNamespace = 'istio-system';
export const clusterId = 'Kubernetes';

/** The cases of `test/unit/mesh/rules/vectors/<rule>.yaml`. */
export function ruleVectors<E>(rule: string): readonly RuleVector<E>[] {
  const text = readFileSync(`test/unit/mesh/rules/vectors/${rule}.yaml`, 'utf8');
  return parse(text) as readonly RuleVector<E>[];
}

/** Resources of the kinds that vectors use. */
const byKind = new Map(
  [
    resources.configMaps,
    resources.namespaces,
    resources.pods,
    resources.services,
    resources.serviceAccounts,
    resources.gateways,
    resources.gatewayClasses,
    resources.authorizationPolicies,
    resources.peerAuthentications,
  ].map((resource) => [resource.kind, resource]),
);

/** The resource of an object of a vector. */
export function resourceOfKind(kind: string): resources.Resource {
  const found = byKind.get(kind);
  if (found === undefined) throw new Error(`vectors know no kind ${kind}`);
  return found;
}

/** What every vector begins with; an object of a vector takes the place of one of the same name. */
const commonObjects: readonly unknown[] = parse(`
- { kind: Namespace, metadata: { name: shop } }
- { kind: Namespace, metadata: { name: infra } }
- { kind: Namespace, metadata: { name: other } }
- { kind: Namespace, metadata: { name: kube-system } }
- { kind: Namespace, metadata: { name: ${systemNamespace} } }
- kind: ConfigMap
  metadata: { namespace: ${systemNamespace}, name: istio-cni-config }
  data: { EXCLUDE_NAMESPACES: kube-system }
- { kind: GatewayClass, metadata: { name: istio-waypoint }, spec: { controllerName: istio.io/mesh-controller } }
- kind: Gateway
  metadata: { namespace: infra, name: w }
  spec:
    gatewayClassName: istio-waypoint
    listeners: [{ name: mesh, port: 15008, protocol: HBONE, allowedRoutes: { namespaces: { from: All } } }]
  status: { addresses: [{ type: Hostname, value: w.infra.svc.cluster.local }] }
- kind: Gateway
  metadata: { namespace: shop, name: w }
  spec: { gatewayClassName: istio-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
  status: { addresses: [{ type: Hostname, value: w.shop.svc.cluster.local }] }
- kind: Gateway
  metadata: { namespace: shop, name: wl, labels: { istio.io/waypoint-for: workload } }
  spec: { gatewayClassName: istio-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
  status: { addresses: [{ type: Hostname, value: wl.shop.svc.cluster.local }] }
- { kind: Pod, metadata: { namespace: shop, name: a, labels: { app: a, istio.io/dataplane-mode: ambient } } }
- kind: Service
  metadata: { namespace: shop, name: web }
  spec: { selector: { app: a }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`) as readonly unknown[];

/** The objects of a vector, complete as the API server would have them. */
export class VectorWorld {
  readonly objects: readonly KubeObject[];

  constructor(given: readonly KubeObject[]) {
    const all = [...(commonObjects as readonly KubeObject[]), ...given];
    const named = new Map(all.map((object) => [`${object.kind} ${objectKey(object)}`, object]));
    this.objects = [...named.values()].map(completed);
  }

  all<T extends KubeObject>(kind: string): readonly T[] {
    return this.objects.filter((object) => object.kind === kind) as readonly KubeObject[] as readonly T[];
  }

  /** By `Kind namespace/name`. */
  object<T extends KubeObject>(text: string): T {
    const found = this.objects.find((object) => `${object.kind} ${objectKey(object)}` === text);
    if (found === undefined) throw new Error(`the vector has no ${text}`);
    return found as T;
  }

  namespaceLabels(name: string): Readonly<Record<string, string>> {
    return this.object<Namespace>(`Namespace ${name}`).metadata.labels ?? {};
  }

  /** The pod the vector is about: the only one it adds, else the common one. */
  get pod(): Pod {
    const own = this.all<Pod>('Pod');
    return (
      own.find(({ metadata }) => objectKey({ metadata } as Pod) !== 'shop/a') ?? this.object('Pod shop/a')
    );
  }

  get services(): readonly Service[] {
    return this.all<Service>('Service');
  }

  /** Data of a ConfigMap of the system namespace. */
  settings(name: string): Readonly<Record<string, string>> {
    const found = this.all<ConfigMap>('ConfigMap').find(({ metadata }) => metadata.name === name);
    return found?.data ?? {};
  }

  get mesh(): MeshConfig {
    const text = this.settings(meshConfigMap.name)[meshConfigMap.key] ?? '';
    return parseMeshConfig(text, defaultMeshConfig(systemNamespace));
  }

  get enrollmentRules(): EnrollmentRules {
    return parseEnrollmentRules(this.settings(enrollmentConfigMap), systemNamespace);
  }

  /** The mesh as the controller derives it from the objects. */
  controller(): MeshState {
    const state = new MeshState({
      cluster: { clusterId, clusterDomain: 'cluster.local', network: '' },
      mesh: this.mesh,
      onPush: () => undefined,
      onError: (_key, error) => {
        throw error;
      },
    });
    state.inputs.mesh.set(meshKey, this.mesh);
    for (const [name, row] of Object.entries(kinds)) {
      const input = state.inputs[name as KindName];
      for (const object of this.all(row.resource.kind)) {
        // Row and input are of the same kind, which the union of rows does not show.
        input.set(objectKey(object), (row.facts as (object: unknown) => never)(object));
      }
    }
    state.run();
    return state;
  }
}

/** A node proxy's knowledge, filled with the bytes that a controller sends. */
export class ZtunnelUnderTest {
  readonly view = new MeshView();
  readonly policies = new L4PolicyStore();

  constructor(state: MeshState) {
    const { index } = state;
    for (const { wire } of [...index.services.list(), ...index.workloads.list()])
      this.view.upsert(received(wire));
    for (const { wire } of index.authorizations.list()) this.policies.upsert(received(wire));
  }

  workload(pod: Pod): KnownWorkload {
    const { namespace, name } = pod.metadata;
    const found = [...this.view.workloads].find((w) => w.namespace === namespace && w.name === name);
    if (found === undefined) throw new Error(`the proxy does not know Pod ${namespace}/${name}`);
    return found;
  }

  /** What its admin port shows, as it is read. */
  dump(): ZtunnelDump {
    return parseZtunnelDump(JSON.stringify(this.shown()));
  }

  /** What its admin port shows. */
  shown(): unknown {
    const version = { version: 'test', istioVersion: 'test' };
    return ztunnelStateDump({
      view: this.view,
      policies: this.policies.list(),
      certificates: [],
      workloads: [],
      refused: [],
      version,
      config: {},
    });
  }
}

/** A resource as it comes out of the stream. */
export function received(wire: WireResource): XdsResource {
  const { name, version, resource } = fromBinary(ResourceSchema, Buffer.from(wire.encoded, 'latin1'));
  if (resource === undefined) throw new Error(`resource ${name} is empty`);
  return { name, version, value: resource.value };
}

/** Fills in what vectors leave out. */
function completed(object: KubeObject): KubeObject {
  const { kind } = object;
  const apiVersion = resources.apiVersionOf(resourceOfKind(kind ?? ''));
  const base = { ...object, apiVersion };
  if (kind === 'Pod') return completePod(base as unknown as Pod);
  if (kind === 'Gateway') {
    const { status, ...gateway } = base as KubeObject & { status?: object };
    const time = '2026-01-01T00:00:00Z';
    const programmed = {
      type: 'Programmed',
      status: 'True',
      reason: 'Programmed',
      message: '',
      lastTransitionTime: time,
    };
    return { ...gateway, status: { ...status, conditions: [programmed] } } as KubeObject;
  }
  if (kind === 'Service') {
    const service = base as unknown as Service;
    return { ...service, spec: { clusterIP: '10.96.0.10', ...service.spec } } as unknown as KubeObject;
  }
  return base;
}

function completePod(pod: Pod): Pod {
  return {
    ...pod,
    metadata: { uid: `uid-${pod.metadata.name}`, ...pod.metadata },
    spec: Object.assign(
      {
        nodeName: 'node-1',
        serviceAccountName: 'default',
        containers: [{ name: 'c', image: 'meshctl/tool' }],
      },
      pod.spec,
    ),
    status: {
      phase: 'Running',
      podIP: '10.244.0.10',
      podIPs: [{ ip: '10.244.0.10' }],
      conditions: [{ type: 'Ready', status: 'True' }],
      ...pod.status,
    },
  };
}
