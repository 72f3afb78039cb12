import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { gatewayManaged, gatewayName } from '#base/kube/labels.js';
import {
  authorizationPolicies,
  gatewayClasses,
  gateways,
  namespaces,
  nodes,
  peerAuthentications,
  pods,
  serviceAccounts,
  services,
} from '#base/kube/resource.js';
import { isForbidden, isNotFound } from '#base/kube/api-error.js';
import type { Resource } from '#base/kube/resource.js';
import type {
  AuthorizationPolicy,
  Gateway,
  GatewayClass,
  KubeObject,
  Namespace,
  Node,
  PeerAuthentication,
  Pod,
  Service,
} from '#base/kube/types.js';
import { type AuthorizationPolicy as L7Policy, AuthorizationPolicySchema } from '../xds/gen/meshctl/l7_pb.js';
import { type CaptureReport, fetchCaptureReport } from './capture-report.js';
import { adminGet, type Component, componentPods, isPodReady, podOnNode } from './component-pods.js';
import { type MeshSettings, readMeshSettings } from './mesh-settings.js';
import { listWaypoints, type WaypointReport } from './waypoint-report.js';
import type { ProxyTrust } from './trust.js';
import { type DumpIdentity, ownPartOf, type ZtunnelDump } from './ztunnel-dump.js';
import { fetchZtunnelDump } from './ztunnel-target.js';

/** What a waypoint or gateway shows at `/config_dump`, each part as it came. */
interface GatewayDump {
  readonly policies?: unknown;
  readonly certificates?: unknown;
  readonly version?: unknown;
}

/** Throws TypeError when the text is no object. */
function parseGatewayDump(text: string): GatewayDump {
  const dump: unknown = JSON.parse(text);
  if (typeof dump !== 'object' || dump === null) throw new TypeError('not a JSON object');
  return dump;
}

/** Throws TypeError when it is no dump of our waypoint: another proxy's policies are unknown, not absent. */
function waypointPoliciesIn({ policies }: GatewayDump): readonly L7Policy[] {
  if (!Array.isArray(policies)) throw new TypeError('no "policies" in the document');
  return policies.map((policy) =>
    fromJson(AuthorizationPolicySchema, policy as JsonValue, { ignoreUnknownFields: true }),
  );
}

/** Proxies of each kind with which one is compared. */
const othersAskedMax = 5;

/** Something observed, or why it could not be. */
export type Observation<T> =
  | { readonly value: T; readonly by: string }
  | {
      readonly value?: undefined;
      readonly why: string;
      /** Of the error that says so: MESH0215 when the component is silent. */
      readonly code?: string;
      /** The user may not look: nothing says that something is wrong. */
      readonly isHidden?: boolean;
    };

/**
 * One look at the running mesh. Each component is asked at most once, and only when a
 * report needs it; what cannot be asked is reported as unknown, never as fine.
 */
export class MeshObserver {
  readonly #answers = new Map<string, Promise<unknown>>();
  readonly #assumptions: string[] = [];
  /** Why the pods of a component could not be listed. */
  readonly #unseen = new Map<Component, string>();
  readonly client: KubeClient;
  readonly meshNamespace: string;

  constructor(client: KubeClient, meshNamespace: string) {
    this.client = client;
    this.meshNamespace = meshNamespace;
  }

  /** The configuration dump of the node proxy on a node. */
  dump(node: string): Promise<Observation<ZtunnelDump>> {
    return this.once(`dump ${node}`, () =>
      this.#observe('ztunnel', node, (p) => fetchZtunnelDump(this.client, p)),
    );
  }

  /** Of the same dump, what concerns its own node: for whoever asks all nodes. */
  ownDump(node: string): Promise<Observation<ZtunnelDump>> {
    return this.once(`own dump ${node}`, () =>
      this.#observe('ztunnel', node, async (p) => ownPartOf(await fetchZtunnelDump(this.client, p), node)),
    );
  }

  /** What the CNI agent on a node sees in one pod, enrolled or not. */
  capture(pod: Pod): Promise<Observation<CaptureReport>> {
    const of = { namespace: pod.metadata.namespace ?? '', name: pod.metadata.name };
    return this.once(`capture ${of.namespace}/${of.name}`, () =>
      this.#observe('cni', pod.spec.nodeName ?? '', (agent) => fetchCaptureReport(this.client, agent, of)),
    );
  }

  /** What the CNI agent on a node sees in all enrolled pods. */
  captures(node: string): Promise<Observation<CaptureReport>> {
    return this.once(`captures ${node}`, () =>
      this.#observe('cni', node, (agent) => fetchCaptureReport(this.client, agent)),
    );
  }

  /** Running pods of a component, by node. */
  components(component: Component): Promise<readonly Pod[]> {
    return this.once(component, () =>
      componentPods(this.client, component, this.meshNamespace).catch((error: unknown) => {
        if (!isForbidden(error)) throw error;
        this.#unseen.set(component, `pods of the mesh may not be looked at (${messageOf(error)})`);
        return [];
      }),
    );
  }

  /** What the mesh is set to. */
  settings(): Promise<MeshSettings> {
    return this.once('settings', async () => {
      const settings = await readMeshSettings(this.client, this.meshNamespace);
      this.#assumptions.push(...settings.assumptions);
      return settings;
    });
  }

  /** What was assumed so far because it could not be read. */
  get assumptions(): readonly string[] {
    return this.#assumptions;
  }

  namespace(name: string): Promise<Namespace | undefined> {
    return this.once(`namespace ${name}`, () =>
      this.#asFarAsSeen(`Namespace ${name}`, undefined, () =>
        this.client.getOrUndefined<Namespace>({ resource: namespaces, name }),
      ),
    );
  }

  /** All nodes; none where the user may not look: the components on them show what a tenant is not told of them. */
  nodes(): Promise<readonly Node[]> {
    return this.once('nodes', async () => {
      try {
        return await this.client.list<Node>(nodes);
      } catch (error) {
        if (isForbidden(error)) return [];
        throw error;
      }
    });
  }

  /** Undefined where there is none, or where the user may not look. */
  serviceAccount(namespace: string, name: string): Promise<KubeObject | undefined> {
    return this.once(`account ${namespace}/${name}`, () =>
      this.#asFarAsSeen(`ServiceAccount ${namespace}/${name}`, undefined, () =>
        this.client.getOrUndefined<KubeObject>({ resource: serviceAccounts, namespace, name }),
      ),
    );
  }

  services(namespace: string): Promise<readonly Service[]> {
    return this.once(`services ${namespace}`, () => this.client.list<Service>(services, { namespace }));
  }

  gateway(namespace: string, name: string): Promise<Gateway | undefined> {
    return this.once(`gateway ${namespace}/${name}`, () =>
      this.client.getOrUndefined<Gateway>({ resource: gateways, namespace, name }),
    );
  }

  gatewayClass(name: string): Promise<GatewayClass | undefined> {
    return this.once(`class ${name}`, () =>
      this.#asFarAsSeen(`GatewayClass ${name}`, undefined, () =>
        this.client.getOrUndefined<GatewayClass>({ resource: gatewayClasses, name }),
      ),
    );
  }

  /** All of the mesh; where they may not be listed, those of a namespace. */
  peerAuthentications(home: string): Promise<readonly PeerAuthentication[]> {
    return this.#policies<PeerAuthentication>(peerAuthentications, home);
  }

  /** All of the mesh; where they may not be listed, those of a namespace. */
  authorizationPolicies(home: string): Promise<readonly AuthorizationPolicy[]> {
    return this.#policies<AuthorizationPolicy>(authorizationPolicies, home);
  }

  /** A waypoint by name; undefined when no such Gateway exists. */
  async waypoint(namespace: string, name: string): Promise<WaypointReport | undefined> {
    const found = await this.once(`waypoint ${namespace}/${name}`, async () => {
      try {
        return await listWaypoints(this.client, { namespace, name });
      } catch (error) {
        if (isNotFound(error)) return [];
        throw error;
      }
    });
    return found[0];
  }

  /** The policies that a ready pod of a waypoint (`from`) enforces. */
  waypointPolicies(
    namespace: string,
    name: string,
  ): Promise<Observation<readonly L7Policy[]> & { readonly from?: Pod }> {
    return this.once(`policies ${namespace}/${name}`, async () => {
      const instances = await this.client.list<Pod>(pods, {
        namespace,
        labelSelector: `${gatewayName}=${name}`,
      });
      const instance = instances.find(isPodReady);
      if (instance === undefined) return { why: `waypoint ${namespace}/${name} has no ready pod` };
      const { value: dump, ...failure } = await this.gatewayDump(instance);
      if (dump === undefined) return { why: 'it was not asked', ...failure, from: instance };
      const shown = await this.#guard(instance.metadata.name, () =>
        Promise.resolve(waypointPoliciesIn(dump)),
      );
      return { ...shown, from: instance };
    });
  }

  /** What an instance of a waypoint or gateway shows of itself. */
  gatewayDump(instance: Pod): Promise<Observation<GatewayDump>> {
    const { namespace = '', name } = instance.metadata;
    return this.once(`gateway dump ${namespace}/${name}`, () =>
      this.#guard(name, () => adminGet(this.client, instance, '/config_dump', parseGatewayDump)),
    );
  }

  /** Running instances of all waypoints and gateways, as far as the user may see them. */
  gatewayPods(): Promise<readonly Pod[]> {
    return this.once('gateway pods', async () => {
      const all = await this.#asFarAsSeen<readonly Pod[]>('gateways of other namespaces', [], () =>
        this.client.list<Pod>(pods, { labelSelector: gatewayManaged }),
      );
      return all.filter(
        ({ metadata, status }) => status?.phase === 'Running' && metadata.deletionTimestamp === undefined,
      );
    });
  }

  /** Those of them that are ready. */
  async gatewayInstances(): Promise<readonly Pod[]> {
    return (await this.gatewayPods()).filter(isPodReady);
  }

  /**
   * What the proxies of the mesh trust and show to others; those that cannot be asked are left out. With `around`, a
   * node's proxy and a few others: enough to see that it is alone, in a cluster of any size.
   */
  trust(around?: string): Promise<readonly ProxyTrust[]> {
    return this.once(`trust ${around ?? ''}`, async () => {
      const [nodeProxies, allGateways] = await Promise.all([
        this.components('ztunnel'),
        this.gatewayInstances(),
      ]);
      const own = nodeProxies.filter(({ spec }) => spec.nodeName === around);
      const others = nodeProxies.filter(({ spec }) => spec.nodeName !== around);
      const limit = around === undefined ? undefined : othersAskedMax;
      const gatewayPods = allGateways.slice(0, limit);
      const ztunnels = [...own, ...others.slice(0, limit)].map(
        async ({ metadata, spec }): Promise<ProxyTrust[]> => {
          const node = spec.nodeName ?? '';
          // Of the node that is looked at everything is wanted anyway.
          const { value } = await (node === around ? this.dump(node) : this.ownDump(node));
          return value === undefined
            ? []
            : [{ proxy: `${metadata.name} on ${spec.nodeName}`, identities: value.certificates }];
        },
      );
      const gatewayTrust = gatewayPods.map(async (pod): Promise<ProxyTrust[]> => {
        const { namespace = '', name } = pod.metadata;
        const { value: dump } = await this.gatewayDump(pod);
        return Array.isArray(dump?.certificates)
          ? [{ proxy: `${namespace}/${name}`, identities: dump.certificates as DumpIdentity[] }]
          : [];
      });
      return (await Promise.all([...ztunnels, ...gatewayTrust])).flat();
    });
  }

  async #observe<T>(
    component: 'ztunnel' | 'cni',
    node: string,
    ask: (pod: Pod) => Promise<T>,
  ): Promise<Observation<T>> {
    const candidates = await this.components(component);
    const unseen = this.#unseen.get(component);
    if (unseen !== undefined) return { why: unseen, isHidden: true };
    const pod = podOnNode(candidates, node);
    if (pod === undefined) {
      return {
        why: `no running ${component === 'cni' ? 'CNI agent' : 'ztunnel'} on node ${node === '' ? '(none)' : node}`,
      };
    }
    return this.#guard(pod.metadata.name, () => ask(pod));
  }

  async #guard<T>(by: string, ask: () => Promise<T>): Promise<Observation<T>> {
    try {
      return { value: await ask(), by };
    } catch (error) {
      const evidence = error instanceof Error && 'evidence' in error ? ` (${String(error.evidence)})` : '';
      return {
        why: `${messageOf(error)}${evidence}`,
        ...(error instanceof MeshError ? { code: error.code } : {}),
      };
    }
  }

  /** What the user may not look at counts as absent, and that is said: whoever looks at pods need not see everything. */
  async #asFarAsSeen<T>(what: string, absent: T, ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (error) {
      if (!isForbidden(error)) throw error;
      this.#assumptions.push(`not seen: ${what} (${messageOf(error)})`);
      return absent;
    }
  }

  async #policies<T extends KubeObject>(resource: Resource, home: string): Promise<readonly T[]> {
    const all = await this.once(`all ${resource.plural}`, () =>
      this.#asFarAsSeen<readonly T[] | undefined>(`${resource.plural} outside of ${home}`, undefined, () =>
        this.#listIfKnown<T>(resource),
      ),
    );
    if (all !== undefined) return all;
    return this.once(`${resource.plural} ${home}`, () =>
      this.#asFarAsSeen<readonly T[]>(`${resource.plural} of ${home}`, [], () =>
        this.#listIfKnown<T>(resource, home),
      ),
    );
  }

  async #listIfKnown<T extends KubeObject>(resource: Resource, namespace?: string): Promise<readonly T[]> {
    try {
      return await this.client.list<T>(resource, { namespace });
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }

  /** The answer to a question that is asked once for all who want to know. */
  once<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.#answers.get(key) as Promise<T> | undefined;
    if (known !== undefined) return known;
    const answer = ask();
    this.#answers.set(key, answer);
    return answer;
  }
}
