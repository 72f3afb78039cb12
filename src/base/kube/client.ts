import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '../errors/mesh-error.js';
import { readBounded } from '../system/bounded-bytes.js';
import { apiErrorOf, isNotFound, type KubeApiError } from './api-error.js';
import { Refusals } from './refusals.js';
import {
  type ClusterConnection,
  directConnection,
  type DirectConnectionOptions,
  inClusterConnection,
} from './connection.js';
import { connectionError, credentialError } from './connection-error.js';
import { type KubeconfigOptions, kubeconfigConnection } from './kubeconfig/kubeconfig-connection.js';
import { limitConnect } from './connect-limit.js';
import { type ObjectRef, pathOf, type Resource } from './resource.js';
import type { KubeList, KubeObject } from './types.js';

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>> | undefined;
  readonly body?: unknown;
  readonly contentType?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds for the whole answer; default 30 000. */
  readonly timeoutMs?: number | undefined;
  /** Default application/json. */
  readonly accept?: string | undefined;
}

export interface ListOptions {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Only `metadata` of each object. */
  readonly isMetadataOnly?: boolean | undefined;
}

export interface ServerSideApplyOptions {
  readonly fieldManager: string;
  /** Take over fields another manager owns. */
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly subresource?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** How long a program that somebody waits for waits itself. All in milliseconds. */
export interface RequestLimits {
  /** Until a connection stands and, of the first one, until the API server answers. */
  readonly connectMs: number;
  /** For one whole answer. */
  readonly requestMs: number;
  /** Silence of a component in a pod that is asked something. */
  readonly podSilenceMs: number;
  /** When all must be over, by performance.now; undefined: never, as for a command that follows something. */
  readonly deadlineMs: number | undefined;
}

export interface ClientOptions {
  /** Connections at once, each watch being one; default 64. */
  readonly socketsMax?: number | undefined;
  /** Without limits a connection may take as long as a request. */
  readonly limits?: RequestLimits | undefined;
}

/** Accept headers for objects, and lists of objects, without anything but their metadata. */
export const metadataAccept = {
  object: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json',
  list: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json',
} as const;

const requestTimeoutDefaultMs = 30_000;
const pageSize = 500;
const throttledRetriesMax = 3;
const socketsMaxDefault = 64;
/** For the requests that explain why time ran out. */
const lastWordsMs = 2_000;
const answerMaxBytes = 256 * 1024 * 1024;

/**
 * A thin Kubernetes client over node:https: loads fast, keeps connections alive and
 * gives back plain JSON. Failures are {@link KubeApiError} (an answer) or MeshError
 * MESH0201 (no answer).
 */
export class KubeClient {
  readonly connection: ClusterConnection;
  readonly limits: RequestLimits | undefined;
  /** What its user was not allowed to do; kept of clients with limits, which a person waits for. */
  readonly refusals = new Refusals();
  readonly #agent: HttpAgent;
  readonly #isTls: boolean;
  /** Whether the API server has answered anything at all. */
  #hasAnswered = false;

  constructor(connection: ClusterConnection | DirectConnectionOptions, o: ClientOptions = {}) {
    this.connection = 'requestOptions' in connection ? connection : directConnection(connection);
    this.limits = o.limits;
    this.#isTls = this.connection.server.startsWith('https:');
    const options = {
      keepAlive: true,
      maxSockets: o.socketsMax ?? socketsMaxDefault,
      scheduling: 'lifo' as const,
    };
    this.#agent = this.#isTls ? new HttpsAgent(options) : new HttpAgent(options);
  }

  /** From a kubeconfig, as the CLI does. Throws MESH0208. */
  static async fromKubeconfig(o: KubeconfigOptions = {}): Promise<KubeClient> {
    return new KubeClient(await kubeconfigConnection(o));
  }

  /** From the pod's service account. Throws MESH0208 outside a cluster. */
  static inCluster(env: NodeJS.ProcessEnv): KubeClient {
    return new KubeClient(inClusterConnection(env));
  }

  /** Closes idle connections. */
  close(): void {
    this.#agent.destroy();
  }

  async request<T>(r: ApiRequest): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const { response, text } = await this.#roundTrip(r);
      const status = response.statusCode ?? 0;
      if (status === 429 && attempt <= throttledRetriesMax) {
        const afterSeconds = Number(response.headers['retry-after'] ?? 1);
        await delay(
          Math.min(Number.isFinite(afterSeconds) ? afterSeconds : 1, 5) * 1000,
          undefined,
          r.signal === undefined ? {} : { signal: r.signal },
        );
        continue;
      }
      if (status === 401)
        throw (await this.#credentialError()) ?? apiErrorOf(status, text, `${r.method} ${r.path}`);
      if (status >= 200 && status < 300) return (text === '' ? undefined : parseBody(text)) as T;
      throw this.#refused(apiErrorOf(status, text, `${r.method} ${r.path}`));
    }
  }

  #refused(error: KubeApiError): KubeApiError {
    if (this.limits !== undefined && error.status === 403) this.refusals.note(error.message);
    return error;
  }

  get<T extends KubeObject>(
    ref: ObjectRef,
    o: { signal?: AbortSignal | undefined; isMetadataOnly?: boolean } = {},
  ): Promise<T> {
    const accept = o.isMetadataOnly === true ? metadataAccept.object : undefined;
    return this.request<T>({ method: 'GET', path: pathOf(ref.resource, ref), signal: o.signal, accept });
  }

  /** The object, or undefined when it (or its kind) does not exist. */
  async getOrUndefined<T extends KubeObject>(ref: ObjectRef): Promise<T | undefined> {
    try {
      return await this.get<T>(ref);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Every object of a kind, read page by page. */
  async list<T extends KubeObject>(resource: Resource, o: ListOptions = {}): Promise<T[]> {
    return (await this.listWithVersion<T>(resource, o)).items;
  }

  /** As {@link list}, with the resourceVersion a watch can start from. */
  async listWithVersion<T extends KubeObject>(
    resource: Resource,
    o: ListOptions = {},
  ): Promise<{ items: T[]; resourceVersion: string }> {
    const items: T[] = [];
    let version = '';
    for await (const page of this.pages<T>(resource, o)) {
      items.push(...page.items);
      version = page.resourceVersion;
    }
    return { items, resourceVersion: version };
  }

  /** Every object of a kind, page by page: of a large kind, never all of it at once. All pages have the same version. */
  async *pages<T extends KubeObject>(
    resource: Resource,
    o: ListOptions = {},
  ): AsyncGenerator<{ readonly items: T[]; readonly resourceVersion: string }, void, undefined> {
    let token: string | undefined;
    do {
      const page: KubeList<T> = await this.request({
        method: 'GET',
        path: pathOf(resource, { namespace: o.namespace }),
        query: {
          limit: pageSize,
          continue: token,
          labelSelector: o.labelSelector,
          fieldSelector: o.fieldSelector,
        },
        signal: o.signal,
        accept: o.isMetadataOnly === true ? metadataAccept.list : undefined,
      });
      // Items of a list carry no kind of their own.
      const typeMeta = { apiVersion: page.apiVersion, kind: resource.kind };
      // A Go server writes an empty list of metadata as null.
      const items = (page.items ?? []).map((item) => ({ ...typeMeta, ...item }));
      yield { items, resourceVersion: page.metadata.resourceVersion ?? '' };
      token = page.metadata.continue;
    } while (token !== undefined && token !== '');
  }

  create<T extends KubeObject>(
    resource: Resource,
    object: unknown,
    o: { namespace?: string; subresource?: string; name?: string } = {},
  ): Promise<T> {
    return this.request<T>({ method: 'POST', path: pathOf(resource, o), body: object });
  }

  /** Replaces an object; with a resourceVersion in it, only if nobody changed it meanwhile. */
  update<T extends KubeObject>(ref: ObjectRef & { subresource?: string | undefined }, object: T): Promise<T> {
    return this.request<T>({ method: 'PUT', path: pathOf(ref.resource, ref), body: object });
  }

  /** Server-side apply. The object names itself; `resource` says where its kind lives. */
  apply<T extends KubeObject>(resource: Resource, object: KubeObject, o: ServerSideApplyOptions): Promise<T> {
    return this.request<T>({
      method: 'PATCH',
      path: pathOf(resource, {
        namespace: object.metadata.namespace,
        name: object.metadata.name,
        subresource: o.subresource,
      }),
      query: { fieldManager: o.fieldManager, force: o.force, dryRun: o.dryRun === true ? 'All' : undefined },
      body: object,
      contentType: 'application/apply-patch+yaml',
      signal: o.signal,
    });
  }

  patch<T extends KubeObject>(
    ref: ObjectRef & { subresource?: string | undefined },
    patch: unknown,
    type: 'merge' | 'json' | 'strategic' = 'merge',
    o: { fieldManager?: string; dryRun?: boolean } = {},
  ): Promise<T> {
    const contentTypes = {
      merge: 'application/merge-patch+json',
      json: 'application/json-patch+json',
      strategic: 'application/strategic-merge-patch+json',
    };
    return this.request<T>({
      method: 'PATCH',
      path: pathOf(ref.resource, ref),
      query: { fieldManager: o.fieldManager, dryRun: o.dryRun === true ? 'All' : undefined },
      body: patch,
      contentType: contentTypes[type],
    });
  }

  /** Deletes an object; resolves to false when it was not there. */
  async delete(
    ref: ObjectRef,
    o: {
      propagation?: 'Foreground' | 'Background' | 'Orphan';
      gracePeriodSeconds?: number;
      preconditions?: { uid?: string; resourceVersion?: string };
    } = {},
  ): Promise<boolean> {
    try {
      await this.request({
        method: 'DELETE',
        path: pathOf(ref.resource, ref),
        body: {
          apiVersion: 'v1',
          kind: 'DeleteOptions',
          propagationPolicy: o.propagation ?? 'Background',
          ...(o.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: o.gracePeriodSeconds }),
          ...(o.preconditions === undefined ? {} : { preconditions: o.preconditions }),
        },
      });
      return true;
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  /**
   * The lines of a streaming answer (watch, logs), until the server or the signal ends it.
   * `idleTimeoutMs` without a byte ends it with MESH0209: a half-open connection must not hang.
   */
  async *stream(o: {
    path: string;
    query?: ApiRequest['query'];
    signal?: AbortSignal | undefined;
    idleTimeoutMs?: number | undefined;
    accept?: string | undefined;
  }): AsyncGenerator<string, void, undefined> {
    const response = await this.#send(
      { method: 'GET', path: o.path, query: o.query, signal: o.signal, accept: o.accept },
      o.idleTimeoutMs,
    );
    const status = response.statusCode ?? 0;
    if (status < 200 || status >= 300) {
      throw this.#refused(apiErrorOf(status, await readText(response), `GET ${o.path}`));
    }
    // Without a listener an abort would surface as an unhandled error event of the response.
    let failure: Error | undefined;
    response.on('error', (error) => {
      failure = error;
    });
    const lines = createInterface({ input: response, crlfDelay: Number.POSITIVE_INFINITY });
    try {
      for await (const line of lines) yield line;
    } finally {
      lines.close();
      response.destroy();
    }
    if (failure !== undefined && o.signal?.aborted !== true) throw this.#unreachable(failure);
  }

  async #roundTrip(r: ApiRequest): Promise<{ response: IncomingMessage; text: string }> {
    const timeoutMs = this.#requestTimeoutMs(r.timeoutMs);
    const timeout = AbortSignal.timeout(timeoutMs);
    const signal = r.signal === undefined ? timeout : AbortSignal.any([r.signal, timeout]);
    try {
      const response = await this.#send({ ...r, signal });
      return { response, text: await readText(response) };
    } catch (error) {
      if (timeout.aborted && r.signal?.aborted !== true) {
        throw new MeshError('MESH0209', `the API server did not answer within ${secondsText(timeoutMs)}`, {
          evidence: `${r.method} ${this.connection.server}${r.path}`,
          cause: error,
        });
      }
      if (r.signal?.aborted === true || error instanceof MeshError) throw error;
      throw this.#unreachable(error);
    }
  }

  /** What is left of the command's time, but enough to tell why it is over. */
  #requestTimeoutMs(asked: number | undefined): number {
    const { limits } = this;
    if (limits === undefined) return asked ?? requestTimeoutDefaultMs;
    const left = (limits.deadlineMs ?? Number.POSITIVE_INFINITY) - performance.now();
    return Math.ceil(Math.min(asked ?? limits.requestMs, Math.max(left, lastWordsMs)));
  }

  async #send(r: ApiRequest, idleTimeoutMs?: number): Promise<IncomingMessage> {
    const url = new URL(this.connection.server + r.path);
    for (const [key, value] of Object.entries(r.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value));
    }
    const base = await this.#requestOptions();
    const payload = r.body === undefined ? undefined : JSON.stringify(r.body);
    const options: RequestOptions = {
      // A proxy's agent, set by the kubeconfig, goes before ours.
      agent: this.#agent,
      ...base,
      method: r.method,
      headers: {
        accept: r.accept ?? 'application/json',
        'user-agent': 'meshctl',
        ...(payload === undefined
          ? {}
          : {
              'content-type': r.contentType ?? 'application/json',
              'content-length': String(Buffer.byteLength(payload)),
            }),
        ...(base.headers as Record<string, string> | undefined),
      },
      ...(r.signal === undefined ? {} : { signal: r.signal }),
    };
    return new Promise((resolve, reject) => {
      const request = (this.#isTls ? httpsRequest : httpRequest)(url, options, (response) => {
        this.#hasAnswered = true;
        resolve(response);
      });
      request.on('error', (error) => {
        reject(
          r.signal?.aborted === true
            ? error
            : (credentialError(error, base, Date.now()) ?? this.#unreachable(error)),
        );
      });
      if (this.limits !== undefined) {
        limitConnect(request, {
          server: this.connection.server,
          isTls: this.#isTls,
          // A client that waits for one of its own connections waits for no connection.
          isFirst: !this.#hasAnswered,
          limitMs: Math.min(this.limits.connectMs, this.#requestTimeoutMs(r.timeoutMs)),
          onOver: reject,
        });
        const { signal } = r;
        // As with the limit: nobody else would tell.
        signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
      }
      request.on('socket', (socket) => {
        socket.setKeepAlive(true, 15_000);
        socket.setNoDelay(true);
      });
      if (idleTimeoutMs !== undefined) {
        request.setTimeout(idleTimeoutMs, () =>
          request.destroy(
            new MeshError('MESH0209', `no data from the API server for ${idleTimeoutMs / 1000} s`),
          ),
        );
      }
      request.end(payload);
    });
  }

  async #requestOptions(): Promise<RequestOptions> {
    const base = await this.connection.requestOptions();
    // client-node makes a new agent for each call, which would defeat keep-alive; only proxies need it.
    const { agent, ...rest } = base;
    const isProxy = typeof agent === 'object' && agent.constructor !== HttpsAgent;
    return { ...rest, ...(isProxy ? { agent } : {}) };
  }

  async #credentialError(): Promise<MeshError | undefined> {
    return credentialError(undefined, await this.#requestOptions(), Date.now());
  }

  #unreachable(error: unknown): MeshError {
    return connectionError(error, this.connection.server);
  }
}

function secondsText(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}

async function readText(response: IncomingMessage): Promise<string> {
  const tooLarge = (): Error => new Error(`answer larger than ${answerMaxBytes} bytes`);
  return (await readBounded(response, answerMaxBytes, tooLarge)).toString('utf8');
}

function parseBody(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
