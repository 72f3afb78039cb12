import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeClient } from '#base/kube/client.js';
import {
  clusterRoleBindings,
  clusterRoles,
  daemonSets,
  events,
  namespaces,
  nodes,
  pods,
  type Resource,
  serviceAccounts,
} from '#base/kube/resource.js';
import type { DaemonSet, KubeObject, Namespace, Pod } from '#base/kube/types.js';
import { KubeletGatewayError } from '#sandbox/base/kubelet-gateway.js';
import type { ApiServer } from '#sandbox/base/api-server.js';
import { startApiControllers } from '#sandbox/cluster/index.js';
import { startApiServer } from '#sandbox/apiserver/server.js';
import { createLogger } from '#base/telemetry/log.js';
import { eventually } from './test-netns.js';

export const nodeName = 'node-1';

/** An API server with one node's worth of objects, and the agent's own restricted access to it. */
export class TestCluster {
  readonly #dir = mkdtempSync(join(tmpdir(), 'cni-cluster-'));
  readonly admin: KubeClient;
  readonly #server: ApiServer;
  readonly url: string;
  readonly caFile = join(this.#dir, 'ca.crt');
  readonly tokenFile = join(this.#dir, 'token');
  readonly #controllers = new AbortController();

  private constructor(server: ApiServer, admin: KubeClient, url: string) {
    this.#server = server;
    this.admin = admin;
    this.url = url;
  }

  static async start(): Promise<TestCluster> {
    const nobody = (): Promise<never> => Promise.reject(new KubeletGatewayError(500, 'there is no kubelet'));
    const server = await startApiServer({
      listeners: [{ kind: 'address', host: '127.0.0.1', port: 0 }],
      advertise: { host: '127.0.0.1', port: 6443 },
      kubelet: { logs: nobody, exec: nobody, attach: nobody, portForward: nobody },
      logger: createLogger('apiserver'),
    });
    const url = `https://127.0.0.1:${server.ports[0]}`;
    const { certPem, keyPem } = await server.issue('admin', ['system:masters']);
    const admin = new KubeClient({ server: url, ca: server.caPem, cert: certPem, key: keyPem });
    const cluster = new TestCluster(server, admin, url);
    await startApiControllers({ signal: cluster.#controllers.signal, api: server });
    await cluster.#grantAgent();
    await cluster.#create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: nodeName } });
    return cluster;
  }

  /** A client with the agent's service account: what the README says it needs, and no more. */
  agentClient(): KubeClient {
    return new KubeClient({ server: this.url, ca: this.#server.caPem, tokenFile: this.tokenFile });
  }

  async #grantAgent(): Promise<void> {
    await this.namespace('istio-system');
    const account = { name: 'istio-cni', namespace: 'istio-system' };
    await this.#create(serviceAccounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: account });
    const rbac = 'rbac.authorization.k8s.io';
    const watch = ['get', 'list', 'watch'];
    await this.#create(clusterRoles, {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRole',
      metadata: { name: 'istio-cni' },
      rules: [
        { apiGroups: [''], resources: ['pods', 'nodes', 'namespaces'], verbs: watch },
        { apiGroups: [''], resources: ['pods/status'], verbs: ['patch', 'update'] },
        {
          apiGroups: ['apps'],
          resources: ['daemonsets'],
          resourceNames: ['istio-cni-node', 'ztunnel'],
          verbs: ['get'],
        },
        { apiGroups: [''], resources: ['events'], verbs: ['create', 'patch'] },
      ],
    });
    await this.#create(clusterRoleBindings, {
      apiVersion: `${rbac}/v1`,
      kind: 'ClusterRoleBinding',
      metadata: { name: 'istio-cni' },
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'istio-cni' },
      subjects: [{ kind: 'ServiceAccount', ...account }],
    });
    const issued = await this.admin.create<KubeObject & { status: { token: string } }>(
      serviceAccounts,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3_600 } },
      { ...account, subresource: 'token' },
    );
    writeFileSync(this.tokenFile, issued.status.token);
    writeFileSync(this.caFile, this.#server.caPem);
  }

  async namespace(name: string, labels: Record<string, string> = {}): Promise<void> {
    await this.#create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
    // Pods are refused until the namespace has its service account.
    await eventually(
      async () =>
        (await this.admin.getOrUndefined({ resource: serviceAccounts, namespace: name, name: 'default' })) !==
        undefined,
    );
  }

  async label(namespace: string, mode: string | null): Promise<void> {
    const ref = { resource: namespaces, name: namespace };
    await this.admin.patch<Namespace>(ref, { metadata: { labels: { 'istio.io/dataplane-mode': mode } } });
  }

  /** Creates a pod bound to the node; with addresses it counts as running. */
  async pod(
    namespace: string,
    name: string,
    ips: readonly string[] = [],
    labels: Record<string, string> = {},
  ): Promise<Pod> {
    const pod = await this.#create<Pod>(pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace, labels },
      spec: { nodeName, containers: [{ name: 'app', image: 'app' }] },
    });
    if (ips.length > 0) await this.setIps(namespace, name, ips);
    return pod;
  }

  async setIps(namespace: string, name: string, ips: readonly string[], phase = 'Running'): Promise<void> {
    const status = { phase, podIP: ips[0], podIPs: ips.map((ip) => ({ ip })) };
    await this.admin.patch({ resource: pods, namespace, name, subresource: 'status' }, { status });
  }

  /** What a kubelet reports once the pod's container runs. */
  async setStarted(namespace: string, name: string, startedAt: Date): Promise<void> {
    const state = { running: { startedAt: `${startedAt.toISOString().slice(0, 19)}Z` } };
    const container = { name: 'app', image: 'app', imageID: '', ready: true, restartCount: 0, state };
    const ref = { resource: pods, namespace, name, subresource: 'status' };
    await this.admin.patch(ref, { status: { containerStatuses: [container] } });
  }

  async deletePod(namespace: string, name: string): Promise<void> {
    await this.admin.delete({ resource: pods, namespace, name }, { gracePeriodSeconds: 0 });
  }

  /** The redirection annotation of a pod. */
  async annotation(namespace: string, name: string): Promise<string | undefined> {
    const pod = await this.admin.get<Pod>({ resource: pods, namespace, name });
    return pod.metadata.annotations?.['ambient.istio.io/redirection'];
  }

  /** Sets that annotation, as an earlier agent would have. */
  async annotate(namespace: string, name: string, state: string): Promise<void> {
    const annotations = { 'ambient.istio.io/redirection': state };
    await this.admin.patch({ resource: pods, namespace, name }, { metadata: { annotations } });
  }

  /** Makes a DaemonSet exist. With its own there the agent leaves the node as it is when it ends. */
  async daemonSet(name = 'istio-cni-node'): Promise<void> {
    const labels = { 'k8s-app': name };
    await this.#create<DaemonSet>(daemonSets, {
      apiVersion: 'apps/v1',
      kind: 'DaemonSet',
      metadata: { name, namespace: 'istio-system' },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'cni' }] } },
      },
    });
  }

  /** Has the agent's DaemonSet select nodes with a label; null: all. */
  async selectNodes(label: string | null): Promise<void> {
    const ref = { resource: daemonSets, namespace: 'istio-system', name: 'istio-cni-node' };
    const nodeSelector = label === null ? null : { [label]: 'true' };
    await this.admin.patch(ref, { spec: { template: { spec: { nodeSelector } } } });
  }

  async deleteDaemonSet(name = 'istio-cni-node'): Promise<void> {
    await this.admin.delete({ resource: daemonSets, namespace: 'istio-system', name });
  }

  /** Takes the agent's permissions away. */
  async forbidAgent(): Promise<void> {
    await this.admin.delete({ resource: clusterRoleBindings, name: 'istio-cni' });
  }

  /** What `kubectl describe node` shows, as `Type: message`. */
  async nodeEvents(): Promise<readonly string[]> {
    const found = await this.admin.list<KubeObject & Record<string, unknown>>(events, {
      namespace: 'default',
    });
    return found
      .filter((event) => (event['involvedObject'] as { name?: string } | undefined)?.name === nodeName)
      .map((event) => `${String(event['type'])}: ${String(event['message'])}`);
  }

  /** Events of a namespace with the reason, as they are. */
  async eventsOf(namespace: string, reason: string): Promise<readonly Record<string, unknown>[]> {
    const found = await this.admin.list<KubeObject & Record<string, unknown>>(events, { namespace });
    return found.filter((event) => event['reason'] === reason);
  }

  /** Takes the API server away for good. */
  async stopServer(): Promise<void> {
    await this.#server.close();
  }

  async stop(): Promise<void> {
    this.#controllers.abort();
    this.admin.close();
    await this.#server.close();
    rmSync(this.#dir, { recursive: true });
  }

  #create<T extends KubeObject>(
    resource: Resource,
    object: {
      apiVersion: string;
      kind: string;
      metadata: { name: string; namespace?: string; labels?: Record<string, string> };
    } & Record<string, unknown>,
  ): Promise<T> {
    const { namespace } = object.metadata;
    return this.admin.create<T>(resource, object, namespace === undefined ? {} : { namespace });
  }
}
