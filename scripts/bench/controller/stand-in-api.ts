import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { KubeObject, Secret, TokenReview } from '#base/kube/types.js';
import type { SyntheticCluster } from './synthetic-cluster.js';

/** Objects of one kind, made when they are asked for: a cluster of 50,000 pods does not stand in memory twice. */
interface Kind {
  readonly count: number;
  readonly at: (index: number) => KubeObject;
}

/** Token by which every caller is the node proxies' account. */
export const proxyToken = 'a-node-proxy';

/**
 * What the controller sees of a synthetic cluster: lists in pages, watches, and a memory for the few objects it writes.
 * No more of an API server than that: what is measured is the controller, not what it reads from.
 */
export class StandInApi {
  readonly #kinds: ReadonlyMap<string, Kind>;
  readonly #watches = new Map<string, Set<ServerResponse>>();
  readonly #written = new Map<string, KubeObject>();
  readonly #server: Server;
  #version = 1_000_000;

  private constructor(cluster: SyntheticCluster) {
    const fixed = (objects: readonly KubeObject[]): Kind => ({
      count: objects.length,
      at: (index) => objects[index] as KubeObject,
    });
    this.#kinds = new Map<string, Kind>([
      ['nodes', fixed([...cluster.nodes()])],
      ['namespaces', fixed([...cluster.namespaces()])],
      ['pods', { count: cluster.podCount, at: (index) => cluster.pod(index) }],
      ['services', { count: cluster.serviceCount, at: (index) => cluster.service(index) }],
      ['endpointslices', { count: cluster.serviceCount, at: (index) => cluster.slice(index) }],
    ]);
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  static async start(cluster: SyntheticCluster): Promise<StandInApi> {
    const api = new StandInApi(cluster);
    await new Promise<void>((resolve) => api.#server.listen(0, '127.0.0.1', resolve));
    return api;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Root certificate of the authority that the controller made and keeps here. */
  get rootPem(): string {
    const secret = this.#written.get('/api/v1/namespaces/istio-system/secrets/istio-ca-secret') as
      | Secret
      | undefined;
    return Buffer.from(secret?.data?.['root-cert.pem'] ?? '', 'base64').toString();
  }

  /** Tells the watches of a kind that an object changed. */
  change(plural: string, object: KubeObject): void {
    this.#version += 1;
    object.metadata.resourceVersion = String(this.#version);
    const line = `${JSON.stringify({ type: 'MODIFIED', object })}\n`;
    for (const response of this.#watches.get(plural) ?? []) response.write(line);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://api');
    if (request.method !== 'GET') {
      const body = (await jsonOf(request)) as KubeObject;
      return send(response, 200, this.#write(request.method, pathname, body));
    }
    const { plural, name } = partsOf(pathname);
    if (name !== undefined) {
      const found = this.#written.get(pathname);
      return found === undefined ? send(response, 404, notFound) : send(response, 200, found);
    }
    if (searchParams.get('watch') === null) return send(response, 200, this.#page(plural, searchParams));
    response.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
    const watches = this.#watches.get(plural) ?? new Set();
    this.#watches.set(plural, watches.add(response));
    response.on('close', () => watches.delete(response));
  }

  #page(plural: string, query: URLSearchParams): object {
    const kind = this.#kinds.get(plural);
    const first = Number(query.get('continue') ?? 0);
    const last = Math.min(kind?.count ?? 0, first + Number(query.get('limit') ?? 500));
    const items = Array.from({ length: last - first }, (_, i) => kind?.at(first + i));
    const more = kind !== undefined && last < kind.count ? { continue: String(last) } : {};
    return { apiVersion: 'v1', kind: 'List', metadata: { resourceVersion: '1', ...more }, items };
  }

  /** Keeps what is written, whole or merged at the top. */
  #write(method: string | undefined, path: string, body: KubeObject): object {
    if (path.endsWith('/tokenreviews')) return reviewed(body as TokenReview);
    const target = method === 'POST' ? `${path}/${body.metadata.name}` : path;
    this.#version += 1;
    const metadata = {
      ...this.#written.get(target)?.metadata,
      ...body.metadata,
      resourceVersion: String(this.#version),
    };
    const object = { ...this.#written.get(target), ...body, metadata };
    this.#written.set(target, object);
    return object;
  }
}

const notFound = {
  kind: 'Status',
  apiVersion: 'v1',
  status: 'Failure',
  reason: 'NotFound',
  code: 404,
  message: 'none',
};

function reviewed(review: TokenReview): TokenReview {
  const isKnown = review.spec?.token === proxyToken;
  return {
    ...review,
    status: {
      authenticated: isKnown,
      audiences: review.spec?.audiences ?? [],
      user: { username: 'system:serviceaccount:istio-system:ztunnel', groups: ['system:serviceaccounts'] },
    },
  } as TokenReview;
}

function partsOf(path: string): { readonly plural: string; readonly name: string | undefined } {
  const parts = path.split('/').filter((part) => part !== '');
  const rest = parts.slice(parts[0] === 'api' ? 2 : 3);
  const [plural = '', name] = rest[0] === 'namespaces' && rest.length > 2 ? rest.slice(2) : rest;
  return { plural, name };
}

async function jsonOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return JSON.parse(Buffer.concat(chunks).toString());
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}
