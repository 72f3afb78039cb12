import { request as httpsRequest } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { afterAll, beforeAll, describe } from 'vitest';
import { parse } from 'yaml';
import { KubeClient } from '#base/kube/client.js';
import { namespaces, serviceAccounts } from '#base/kube/resource.js';
import { startApiServer } from '#sandbox/apiserver/server.js';
import type { KubeletGateway } from '#sandbox/base/kubelet-gateway.js';
import type { ApiServer } from '#sandbox/base/api-server.js';
import { assetsFolder, findAssets } from '#sandbox/control-plane/external/assets.js';
import { startExternalApiServer } from '#sandbox/control-plane/external/external-api-server.js';
import { startApiControllers } from '#sandbox/cluster/index.js';
import { createLogger, setLogOutput } from '#base/telemetry/log.js';
import { eventually } from '../harness/cluster.js';
import { Kubectl, type KubectlResult } from '../harness/kubectl.js';

/** Our API server, or kube-apiserver and etcd from KUBEBUILDER_ASSETS. */
export type ServerKind = ApiServer['identity']['kind'];

/** The servers there are to test here: the embedded one always, the external one when its programs are named. */
export const serverKinds: readonly ServerKind[] =
  assetsFolder() === undefined ? ['embedded'] : ['embedded', 'external'];

/**
 * Declares a suite once for each server. The suite gets a function that gives the
 * running server, for use inside its hooks and tests; each file has servers of its
 * own, shared by its tests.
 */
export function describeServers(
  name: string,
  suite: (server: () => ServerUnderTest, kind: ServerKind) => void,
  options: ServerOptions = {},
): void {
  describe.each(serverKinds)(`${name} (%s server)`, (kind) => {
    let server: ServerUnderTest | undefined;
    beforeAll(async () => {
      server = await ServerUnderTest.start(kind, options);
    });
    afterAll(async () => {
      await server?.stop();
    });
    suite(() => {
      if (server === undefined) throw new Error('the server is there only inside hooks and tests');
      return server;
    }, kind);
  });
}

/** How the servers of a suite differ from the usual ones. */
export interface ServerOptions {
  /** Ranges of cluster IPs, with a comma between; default 10.96.0.0/16. */
  readonly serviceCidr?: string;
}

/** Who a raw request comes from. */
export type Credentials =
  | { readonly kind: 'admin' }
  | { readonly kind: 'anonymous' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'certificate'; readonly user: string; readonly groups?: readonly string[] };

export interface RawRequest {
  readonly method?: string;
  /** With the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as it is when text or bytes, otherwise as JSON. */
  readonly body?: unknown;
  /** Default: the admin. */
  readonly as?: Credentials;
}

export interface RawAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  readonly bytes: Buffer;
  /** The body, parsed; throws when it is not JSON. */
  json<T = unknown>(): T;
}

/** A running server with the clients that tests use. */
export class ServerUnderTest {
  readonly kind: ServerKind;
  readonly api: ApiServer;
  /** https://127.0.0.1:PORT */
  readonly url: string;
  /** As cluster admin. */
  readonly client: KubeClient;
  readonly #kubectl: Kubectl;
  readonly #admin: { readonly cert: string; readonly key: string };
  readonly #controllers = new AbortController();

  private constructor(kind: ServerKind, api: ApiServer) {
    this.kind = kind;
    this.api = api;
    this.url = `https://127.0.0.1:${api.ports[0]}`;
    const kubeconfig = api.adminKubeconfig(this.url);
    this.#kubectl = new Kubectl(kubeconfig);
    this.#admin = adminOf(kubeconfig);
    this.client = new KubeClient({ server: this.url, ca: api.caPem, ...this.#admin });
  }

  static async start(kind: ServerKind, options: ServerOptions = {}): Promise<ServerUnderTest> {
    setLogOutput(() => undefined);
    const t = new ServerUnderTest(kind, await startServer(kind, options));
    const { api } = t;
    await startApiControllers({ signal: t.#controllers.signal, api });
    // Admission of pods needs it, and it shows that the controllers work.
    await t.furnished('default');
    return t;
  }

  async stop(): Promise<void> {
    this.#controllers.abort();
    this.client.close();
    await this.api.close();
    this.#kubectl.remove();
  }

  /** Path of a kubeconfig of the admin. */
  get kubeconfig(): string {
    return this.#kubectl.kubeconfig;
  }

  /** Environment in which other programs find the server. */
  environment(): NodeJS.ProcessEnv {
    return this.#kubectl.environment();
  }

  /** Writes a file that goes when the server stops; returns its path. */
  file(name: string, text: string): string {
    return this.#kubectl.file(name, text);
  }

  /** Runs kubectl; never rejects for a non-zero exit. */
  kubectl(args: readonly string[], input?: string): Promise<KubectlResult> {
    return this.#kubectl.run(args, input);
  }

  /** Runs kubectl and returns its output; throws when it fails. */
  ok(args: readonly string[], input?: string): Promise<string> {
    return this.#kubectl.ok(args, input);
  }

  /** A client with a certificate of its own. */
  async clientAs(user: string, groups: readonly string[] = []): Promise<KubeClient> {
    const { certPem, keyPem } = await this.api.issue(user, groups);
    return new KubeClient({ server: this.url, ca: this.api.caPem, cert: certPem, key: keyPem });
  }

  /** Makes a namespace and waits for its default service account; returns its name. */
  async namespace(prefix: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
    const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { generateName: `${prefix}-`, labels } };
    const { metadata } = await this.client.create(namespaces, object);
    await this.furnished(metadata.name);
    return metadata.name;
  }

  /** Resolves when a namespace has its default service account. */
  async furnished(namespace: string): Promise<void> {
    const account = { resource: serviceAccounts, namespace, name: 'default' };
    await eventually(() => this.client.get(account), { timeoutMs: 15_000 });
  }

  /** One HTTP exchange, whatever the status; for what clients do not show. */
  async raw(r: RawRequest): Promise<RawAnswer> {
    const { headers, ...tls } = await this.#credentials(r.as ?? { kind: 'admin' });
    const isPlain = typeof r.body === 'string' || r.body instanceof Uint8Array;
    const body = r.body === undefined || isPlain ? (r.body as string | undefined) : JSON.stringify(r.body);
    return new Promise((resolve, reject) => {
      const request = httpsRequest(
        `${this.url}${r.path}`,
        {
          method: r.method ?? 'GET',
          ca: this.api.caPem,
          ...tls,
          agent: false,
          headers: {
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
            ...headers,
            ...r.headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('error', reject);
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            const bytes = Buffer.concat(chunks);
            const text = bytes.toString();
            const parsed = <T>(): T => JSON.parse(text) as T;
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text,
              bytes,
              json: parsed,
            });
          });
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }

  async #credentials(
    as: Credentials,
  ): Promise<{ headers?: Record<string, string>; cert?: string; key?: string }> {
    switch (as.kind) {
      case 'admin':
        return this.#admin;
      case 'anonymous':
        return {};
      case 'token':
        return { headers: { authorization: `Bearer ${as.token}` } };
      case 'certificate': {
        const { certPem, keyPem } = await this.api.issue(as.user, as.groups ?? []);
        return { cert: certPem, key: keyPem };
      }
    }
  }
}

/** An address for documentation: nothing connects to it, and an API server may advertise it. */
const advertiseHost = '192.0.2.1';

async function startServer(kind: ServerKind, { serviceCidr }: ServerOptions): Promise<ApiServer> {
  const listeners = [{ kind: 'address', host: '127.0.0.1', port: 0 }] as const;
  const logger = createLogger('conformance');
  if (kind === 'embedded') {
    const advertise = { host: advertiseHost, port: 6443 };
    return startApiServer({
      listeners,
      advertise,
      kubelet: noKubelet,
      logger,
      ...(serviceCidr && { serviceCidr }),
    });
  }
  const folder = assetsFolder();
  if (folder === undefined) throw new Error('KUBEBUILDER_ASSETS is not set');
  const assets = await findAssets(folder);
  return startExternalApiServer({
    assets,
    listeners,
    advertise: { host: advertiseHost },
    serviceCidr,
    logger,
  });
}

const refuse = (): Promise<never> => Promise.reject(new Error('there are no nodes here'));
const noKubelet: KubeletGateway = { logs: refuse, exec: refuse, attach: refuse, portForward: refuse };

function adminOf(kubeconfig: string): { cert: string; key: string } {
  const { users } = parse(kubeconfig) as { users: { user: Record<string, string> }[] };
  const field = (name: string): string => Buffer.from(users[0]?.user[name] ?? '', 'base64').toString();
  return { cert: field('client-certificate-data'), key: field('client-key-data') };
}
