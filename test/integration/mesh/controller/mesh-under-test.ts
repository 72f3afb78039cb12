import { readFileSync } from 'node:fs';
import { runController } from '#mesh/controller/controller.js';
import { readSettings, type Settings } from '#mesh/controller/settings.js';
import { renderCrds } from '#mesh/templates/crds.js';
import { readTemplateFiles } from '#mesh/templates/files.js';
import { KubeClient } from '#base/kube/client.js';
import type { DirectConnectionOptions } from '#base/kube/connection.js';
import * as resources from '#base/kube/resource.js';
import type { KubeObject, Secret, TokenRequest } from '#base/kube/types.js';
import { createLogger, setLogLevel } from '#base/telemetry/log.js';
import { ApiUnderTest, eventually } from '../../sandbox/apiserver/api-under-test.js';

const systemNamespace = 'istio-system';

/** A controller on a real API server, both in this process. */
export class MeshUnderTest {
  readonly api: ApiUnderTest;
  readonly client: KubeClient;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  ports: Settings['ports'] = { http: 0, plaintextGrpc: 0, secureGrpc: 0, monitoring: 0 };

  private constructor(api: ApiUnderTest, client: KubeClient) {
    this.api = api;
    this.client = client;
  }

  /** Starts the API server and, on it without any CRD, the controller. */
  static async start(): Promise<MeshUnderTest> {
    const mesh = await MeshUnderTest.startApi();
    await mesh.begin();
    return mesh;
  }

  /** Starts the controller. */
  async begin(): Promise<void> {
    const client = new KubeClient(await this.ownConnection());
    const { ports, running } = await startReplica(client, { podName: 'istiod-1', signal: this.#stop.signal });
    this.ports = ports;
    this.#running = running;
  }

  /** Stops the controller as SIGTERM does. */
  async halt(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Starts the API server alone. */
  static async startApi(): Promise<MeshUnderTest> {
    setLogLevel('warn');
    const api = await ApiUnderTest.start();
    const client = await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig });
    await client.create(resources.namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: systemNamespace },
    });
    return new MeshUnderTest(api, client);
  }

  /** Connects with the permissions that the installation gives the controller, no more. */
  async ownConnection(): Promise<DirectConnectionOptions> {
    await this.api.ok(['apply', '-f', '-'], controllerRbac());
    await this.api.ok(['create', 'serviceaccount', 'istiod', '-n', systemNamespace]);
    const request = await this.client.create<TokenRequest>(
      resources.serviceAccounts,
      { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } },
      { namespace: systemNamespace, name: 'istiod', subresource: 'token' },
    );
    return { server: this.api.server, ca: this.api.api.caPem, token: request.status?.token };
  }

  get target(): string {
    return `127.0.0.1:${this.ports.secureGrpc}`;
  }

  async stop(): Promise<void> {
    await this.halt();
    this.client.close();
    await this.api.stop();
  }

  /** Installs the CRDs this project ships. */
  async installCrds(): Promise<void> {
    for (const { document } of renderCrds(readTemplateFiles())) {
      await this.client.create(resources.customResourceDefinitions, document);
    }
  }

  async rootPem(): Promise<string> {
    const secret = await this.client.get<Secret>({
      resource: resources.secrets,
      namespace: systemNamespace,
      name: 'istio-ca-secret',
    });
    return Buffer.from(secret.data?.['root-cert.pem'] ?? '', 'base64').toString('utf8');
  }

  create(
    resource: resources.Resource,
    object: Omit<KubeObject, 'apiVersion' | 'kind'> & object,
  ): Promise<KubeObject> {
    const { namespace } = object.metadata;
    return this.client.create<KubeObject>(
      resource,
      { apiVersion: resources.apiVersionOf(resource), kind: resource.kind, ...object },
      namespace === undefined ? {} : { namespace },
    );
  }

  /** A running, ready pod. */
  async pod(o: {
    namespace: string;
    name: string;
    ip: string;
    node: string;
    serviceAccount: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  }): Promise<KubeObject> {
    const { namespace, name } = o;
    const ref = { resource: resources.serviceAccounts, namespace, name: o.serviceAccount };
    if ((await this.client.getOrUndefined(ref)) === undefined) {
      await this.create(resources.serviceAccounts, { metadata: { namespace, name: o.serviceAccount } });
    }
    const pod = await this.create(resources.pods, {
      metadata: { namespace, name, labels: o.labels ?? {}, annotations: o.annotations ?? {} },
      spec: {
        nodeName: o.node,
        serviceAccountName: o.serviceAccount,
        containers: [
          { name: 'app', image: 'meshctl/tool:test', ports: [{ name: 'http', containerPort: 8080 }] },
        ],
      },
    } as never);
    await this.client.patch(
      { resource: resources.pods, namespace, name, subresource: 'status' },
      {
        status: {
          phase: 'Running',
          podIP: o.ip,
          podIPs: [{ ip: o.ip }],
          conditions: [{ type: 'Ready', status: 'True' }],
        },
      },
    );
    return pod;
  }

  /** A token as the kubelet projects it into a pod. */
  async token(pod: KubeObject, serviceAccount: string, audience = 'istio-ca'): Promise<string> {
    const request = await this.client.create<TokenRequest>(
      resources.serviceAccounts,
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          audiences: [audience],
          expirationSeconds: 3600,
          boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: pod.metadata.name, uid: pod.metadata.uid },
        },
      },
      { namespace: pod.metadata.namespace ?? '', name: serviceAccount, subresource: 'token' },
    );
    return request.status?.token ?? '';
  }
}

/** The roles and bindings that the installation makes for the controller, as YAML. */
export function controllerRbac(): string {
  return readFileSync('templates/controller/rbac.yaml', 'utf8')
    .replaceAll('{{ namespace }}', systemNamespace)
    .replaceAll('{{ revision }}', 'default');
}

/** Starts a controller; resolves when it serves. */
export async function startReplica(
  client: KubeClient,
  o: { podName: string; signal: AbortSignal },
): Promise<{ ports: Settings['ports']; running: Promise<void> }> {
  const { settings } = readSettings(['discovery'], { POD_NAMESPACE: systemNamespace, POD_NAME: o.podName });
  let ports: Settings['ports'] | undefined;
  const running = runController(
    {
      settings: {
        ...settings,
        listenHost: '127.0.0.1',
        ports: { http: 0, plaintextGrpc: 0, secureGrpc: 0, monitoring: 0 },
      },
      client,
      log: createLogger('controller-test'),
      onListening: (bound) => {
        ports = bound;
      },
    },
    o.signal,
  );
  await Promise.race([running, eventually(() => Promise.resolve(ports !== undefined), 20_000)]);
  if (ports === undefined) throw new Error('the controller stopped while starting');
  return { ports, running };
}
