import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { once } from 'node:events';
import { KubeClient } from '#base/kube/client.js';
import * as resources from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { MeshState } from '#mesh/controller/model/mesh-state.js';
import { renderCrds } from '#mesh/templates/crds.js';
import { L7PolicyStore } from '#mesh/policy/l7/l7-policy-store.js';
import { readTemplateFiles } from '#mesh/templates/files.js';
import {
  received,
  resourceOfKind,
  systemNamespace,
  VectorWorld,
  ZtunnelUnderTest,
} from '../../../harness/rule-vectors.js';
import { ApiUnderTest, eventually, localKubelet } from '../../sandbox/apiserver/api-under-test.js';

/**
 * An API server that holds the objects of one vector after the other, and behind it the admin ports of a node proxy
 * and of waypoints: they show what they know from the bytes that a controller makes of the same objects.
 */
export class VectorCluster {
  readonly client: KubeClient;
  readonly #api: ApiUnderTest;
  readonly #admin: AdminPorts;
  #created: resources.ObjectRef[] = [];
  #relabeled: { readonly ref: resources.ObjectRef; readonly labels: readonly string[] }[] = [];

  private constructor(api: ApiUnderTest, client: KubeClient, admin: AdminPorts) {
    this.#api = api;
    this.client = client;
    this.#admin = admin;
  }

  static async start(): Promise<VectorCluster> {
    const admin = new AdminPorts();
    const api = await ApiUnderTest.start({
      kubelet: { ...localKubelet, portForward: ({ pod }) => admin.connect(pod) },
    });
    const client = await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig });
    for (const { document } of renderCrds(readTemplateFiles())) {
      await client.create(resources.customResourceDefinitions, document);
    }
    return new VectorCluster(api, client, admin);
  }

  async stop(): Promise<void> {
    this.client.close();
    this.#admin.stop();
    await this.#api.stop();
  }

  /** Makes the cluster what the vector says, and the proxies know it. */
  async become(given: readonly KubeObject[]): Promise<VectorWorld> {
    await this.#clear();
    const world = new VectorWorld(given);
    const namespaces = world.all('Namespace');
    for (const namespace of namespaces) await this.#namespace(namespace);
    for (const object of world.objects) if (object.kind !== 'Namespace') await this.#create(object);
    const state = world.controller();
    const ztunnel = new ZtunnelUnderTest(state);
    await this.#proxy('ztunnel-1', { namespace: systemNamespace, labels: { app: 'ztunnel' } }, () =>
      ztunnel.shown(),
    );
    for (const gateway of world.all('Gateway')) {
      const { namespace = '', name } = gateway.metadata;
      const policies = policiesOf(state, `${namespace}/${name}`, world.mesh.trustDomain);
      const labels = { 'gateway.networking.k8s.io/gateway-name': name };
      await this.#proxy(`${namespace}-${name}`, { namespace, labels }, () => ({ policies: policies.dump() }));
    }
    return world;
  }

  async #clear(): Promise<void> {
    for (const ref of this.#created.reverse()) await this.client.delete(ref, { gracePeriodSeconds: 0 });
    this.#created = [];
    for (const { ref, labels } of this.#relabeled) {
      await this.client.patch(ref, {
        metadata: { labels: Object.fromEntries(labels.map((key) => [key, null])) },
      });
    }
    this.#relabeled = [];
  }

  /** Namespaces stay, with the labels of the vector. */
  async #namespace({ metadata }: KubeObject): Promise<void> {
    const { name, labels = {} } = metadata;
    const live = await this.client.getOrUndefined<KubeObject>({ resource: resources.namespaces, name });
    if (live === undefined) {
      await this.client.create(resources.namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata });
    } else {
      const old = Object.keys(live.metadata.labels ?? {}).filter((key) => key.startsWith('istio.io/'));
      const gone = Object.fromEntries([...old, 'team'].map((key) => [key, null]));
      await this.client.patch(
        { resource: resources.namespaces, name },
        { metadata: { labels: { ...gone, ...labels } } },
      );
    }
    const account = { resource: resources.serviceAccounts, namespace: name, name: 'default' };
    await eventually(async () => (await this.client.getOrUndefined(account)) !== undefined);
  }

  async #create(object: KubeObject): Promise<void> {
    const resource = resourceOfKind(object.kind ?? '');
    const { namespace, name, labels = {} } = object.metadata;
    // The cluster makes an account named default in every namespace, and makes it again when it is deleted.
    if (resource === resources.serviceAccounts && name === 'default') {
      const ref = { resource, namespace, name };
      await this.client.patch(ref, { metadata: { labels } });
      this.#relabeled.push({ ref, labels: Object.keys(labels) });
      return;
    }
    const { status, ...rest } = object as KubeObject & { status?: unknown };
    await this.client.create(resource, rest, namespace === undefined ? {} : { namespace });
    this.#created.push({ resource, namespace, name });
    if (status === undefined) return;
    await this.client.patch({ resource, namespace, name, subresource: 'status' }, { status });
  }

  async #proxy(
    name: string,
    of: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> },
    dump: () => unknown,
  ): Promise<void> {
    this.#admin.show(name, dump);
    await this.#create({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, ...of },
      spec: { nodeName: 'node-1', containers: [{ name: 'proxy', image: 'meshctl/tool' }] },
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    } as KubeObject);
  }
}

/** What a waypoint knows of its policies. */
function policiesOf(state: MeshState, gateway: string, trustDomain: string): L7PolicyStore {
  const store = new L7PolicyStore({ trustDomain, trustDomainAliases: [] });
  for (const resource of state.index.l7Policies.list()) {
    if (resource.gateway === gateway) store.upsert(received(resource.wire));
  }
  return store;
}

/** The admin ports of pods. */
class AdminPorts {
  readonly #servers = new Map<string, Server>();
  readonly #dumps = new Map<string, () => unknown>();

  show(pod: string, dump: () => unknown): void {
    this.#dumps.set(pod, dump);
  }

  async connect(pod: string) {
    const server =
      this.#servers.get(pod) ??
      createServer((_request, response) => {
        response.end(JSON.stringify(this.#dumps.get(pod)?.()));
      });
    if (!this.#servers.has(pod)) {
      this.#servers.set(pod, server);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
    }
    // A server that listens on a port has such an address.
    const { port } = server.address() as AddressInfo;
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  }

  stop(): void {
    for (const server of this.#servers.values()) server.close();
  }
}
