import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Logger } from '../../../telemetry/log.js';
import type { Authenticator } from '../auth/authenticator.js';
import { impersonate } from '../auth/impersonation.js';
import type { UserInfo } from '../auth/user.js';
import { type Discovery, versionDocument } from '../discovery/discovery.js';
import type { OpenApi } from '../discovery/openapi.js';
import type { JsonObject } from '../json.js';
import type { Authorizer, Attributes } from '../rbac/authorizer.js';
import type { Operations } from '../registry/operations.js';
import type { Registry } from '../registry/registry.js';
import { type Resource, standardVerbs } from '../registry/resource.js';
import type { Subresources } from '../subresources/subresources.js';
import { ApiError, apiError } from './api-error.js';
import { objectFrom, parseBody, readBody } from './body.js';
import { type Exchange, sendJson, sendText } from './exchange.js';
import { parsePath, type ResourcePath } from './request-info.js';
import { ResourceHandler, typeOf } from './resource-handler.js';
import { assertAllowed, type Reviews } from './reviews.js';

export interface DispatcherDeps {
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly registry: Registry;
  readonly operations: Operations;
  readonly discovery: Discovery;
  readonly openApi: OpenApi;
  readonly reviews: Reviews;
  readonly subresources: Subresources;
  /** The issuer's public documents by path. */
  readonly issuerDocuments: () => Readonly<Record<string, JsonObject>>;
  readonly metrics: () => string;
  readonly logger: Logger;
}

const healthPaths: ReadonlySet<string> = new Set(['healthz', 'livez', 'readyz']);
const streamed: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward', 'proxy']);

/** The authorization verb of a request. */
function verbOf(method: string, path: ResourcePath, url: URL): string {
  const isWatch = path.isWatchPath || ['true', '1'].includes(url.searchParams.get('watch') ?? '');
  switch (method) {
    case 'GET':
    case 'HEAD':
      if (path.name !== undefined && !path.isWatchPath) return 'get';
      return isWatch ? 'watch' : 'list';
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return path.name === undefined ? 'deletecollection' : 'delete';
    default:
      return method.toLowerCase();
  }
}

/** Takes every request through authentication, authorization and to its handler, and turns what is thrown into Status answers. */
export class Dispatcher {
  readonly #deps: DispatcherDeps;
  readonly #resources: ResourceHandler;

  constructor(deps: DispatcherDeps) {
    this.#deps = deps;
    this.#resources = new ResourceHandler(deps.operations);
  }

  /** Answers one request; never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse, serverSignal: AbortSignal): Promise<void> {
    const gone = new AbortController();
    const leave = (): void => gone.abort();
    response.once('close', leave);
    serverSignal.addEventListener('abort', leave, { once: true });
    const warnings: string[] = [];
    try {
      const url = new URL(request.url ?? '/', 'https://localhost');
      const path = parsePath(url.pathname);
      const user = this.identify(request);
      await this.#route({ request, response, url, path, user, signal: gone.signal, warnings });
    } catch (error) {
      this.#refuse({ request, response, warnings }, error);
    } finally {
      serverSignal.removeEventListener('abort', leave);
    }
  }

  /** Who is asking, after impersonation. Throws 401 or 403. */
  identify(request: IncomingMessage): UserInfo {
    return impersonate(request, this.#deps.authenticator.authenticate(request), this.#deps.authorizer);
  }

  /** Finds the resource of an upgrade request and checks access. Throws ApiErrors. */
  authorizeStream(request: IncomingMessage): { url: URL; path: ResourcePath; user: UserInfo } {
    const url = new URL(request.url ?? '/', 'https://localhost');
    const path = parsePath(url.pathname);
    const user = this.identify(request);
    if (path.kind !== 'resource' || !streamed.has(path.subresource)) throw apiError.unknownPath();
    // Kubernetes authorizes these as `create` when posted and `get` when opened as a WebSocket.
    assertAllowed(
      this.#deps.authorizer,
      user,
      attributesOf(path, request.method === 'POST' ? 'create' : 'get'),
    );
    return { url, path, user };
  }

  #refuse(exchange: Pick<Exchange, 'request' | 'response' | 'warnings'>, error: unknown): void {
    const { response, request } = exchange;
    let status: ApiError;
    if (error instanceof ApiError) status = error;
    else {
      const text = error instanceof Error ? error.message : String(error);
      if (!response.destroyed) {
        this.#deps.logger.error('request failed', {
          method: request.method,
          url: request.url?.slice(0, 300),
          error: error instanceof Error ? (error.stack ?? text) : text,
        });
      }
      status = apiError.internal(text);
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    if (status.code === 401) response.setHeader('WWW-Authenticate', 'Bearer realm="kubernetes"');
    if (status.details?.retryAfterSeconds !== undefined) {
      response.setHeader('Retry-After', status.details.retryAfterSeconds);
    }
    // The rest of an unread body is not worth receiving.
    if (!request.complete) response.setHeader('Connection', 'close');
    sendJson(exchange, status.code, status.toStatus());
  }

  async #route(exchange: Exchange): Promise<void> {
    const { path } = exchange;
    if (path.kind === 'path') return this.#plainPath(exchange, path.path);
    const { registry, authorizer } = this.#deps;
    const resource = registry.find(path.group, path.version, path.plural);
    const verb = verbOf(exchange.request.method ?? 'GET', path, exchange.url);
    const isConnect = streamed.has(path.subresource);
    assertAllowed(authorizer, exchange.user, attributesOf(path, verb, exchange.url));
    if (resource === undefined) throw apiError.unknownPath();
    if (resource.namespaced ? false : path.namespace !== undefined) throw apiError.unknownPath();
    if (resource.namespaced && path.name !== undefined && path.namespace === undefined)
      throw apiError.unknownPath();
    if (resource.deprecationWarning !== undefined) exchange.warnings.push(resource.deprecationWarning);
    if (resource.verbs !== undefined && path.subresource === '') {
      if (!resource.verbs.includes(verb)) throw apiError.methodNotAllowed(resource, verb);
      if (isCreateOnly(resource)) return this.#createOnly(exchange, path, resource);
    }
    if (path.subresource === '' || (path.subresource === 'status' && resource.hasStatus)) {
      const isAllowed =
        path.subresource === '' ? standardVerbs.includes(verb) : ['get', 'update', 'patch'].includes(verb);
      if (!isAllowed || (path.rest !== '' && path.subresource !== ''))
        throw apiError.methodNotAllowed(resource, verb);
      if (verb === 'create' && path.name !== undefined) throw apiError.methodNotAllowed(resource, verb);
      return this.#resources.handle(exchange, path, resource, verb);
    }
    return this.#deps.subresources.handle(exchange, path, resource, isConnect ? 'connect' : verb);
  }

  async #createOnly(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const body = objectFrom(parseBody(exchange.request, await readBody(exchange.request)), typeOf(resource));
    if (resource.kind === 'Binding') {
      await this.#deps.subresources.bind(exchange, path.namespace ?? '', body.metadata.name, body);
      return;
    }
    const draft = this.#deps.operations.decode(resource, path.namespace, body, {
      user: exchange.user,
      manager: '',
      fieldValidation: 'Warn',
      warnings: exchange.warnings,
    });
    sendJson(exchange, 201, this.#deps.reviews.answer(draft, exchange.user, path.namespace));
  }

  async #plainPath(exchange: Exchange, path: string): Promise<void> {
    const { request, user } = exchange;
    const method = (request.method ?? 'GET').toLowerCase();
    const verb = method === 'head' ? 'get' : method;
    assertAllowed(this.#deps.authorizer, user, { kind: 'path', verb, path });
    if (verb !== 'get')
      throw new ApiError(
        405,
        'MethodNotAllowed',
        `the server does not allow this method on the requested resource`,
      );
    const parts = path.split('/').filter((p) => p !== '');
    const first = parts[0] ?? '';
    if (healthPaths.has(first)) {
      const isVerbose = exchange.url.searchParams.has('verbose');
      sendText(
        exchange,
        200,
        'text/plain; charset=utf-8',
        isVerbose ? `[+]ping ok\n${first} check passed\n` : 'ok',
      );
      return;
    }
    if (path === '/version' || path === '/version/') return sendJson(exchange, 200, versionDocument());
    if (path === '/metrics')
      return sendText(exchange, 200, 'text/plain; version=0.0.4; charset=utf-8', this.#deps.metrics());
    if (first === 'openapi') {
      if (this.#deps.openApi.answer(exchange, path)) return;
      throw apiError.unknownPath();
    }
    const issuerDocument = this.#deps.issuerDocuments()[path];
    if (issuerDocument !== undefined) return sendJson(exchange, 200, issuerDocument);
    if (path === '/') {
      return sendJson(exchange, 200, {
        paths: [
          '/api',
          '/api/v1',
          '/apis',
          '/healthz',
          '/livez',
          '/metrics',
          '/openapi/v2',
          '/openapi/v3',
          '/readyz',
          '/version',
        ],
      });
    }
    const document = this.#deps.discovery.document(path, request.headers.accept);
    if (document === undefined) throw apiError.unknownPath();
    exchange.response.setHeader('Vary', 'Accept');
    sendText(exchange, 200, document.contentType, `${JSON.stringify(document.body)}\n`);
  }
}

/** Reviews and the like: answered, never stored. */
function isCreateOnly({ verbs }: Resource): boolean {
  return verbs?.length === 1 && verbs[0] === 'create';
}

/** What authorization sees of a resource request. */
function attributesOf(path: ResourcePath, verb: string, url?: URL): Attributes {
  // A namespace itself is authorized inside itself, so that its admin may read it.
  const isNamespace = path.group === '' && path.plural === 'namespaces' && path.name !== undefined;
  return {
    kind: 'resource',
    verb,
    group: path.group,
    resource: path.plural,
    subresource: path.subresource,
    namespace: path.namespace ?? (isNamespace ? (path.name ?? '') : ''),
    name: path.name ?? selectedName(url),
  };
}

/** The one name a list or watch asks for by field selector: rules limited to names apply to it, as in Kubernetes. */
function selectedName(url: URL | undefined): string {
  const terms = (url?.searchParams.get('fieldSelector') ?? '').split(',');
  return terms.map((term) => /^metadata\.name==?([^=]+)$/.exec(term)?.[1]).find((n) => n !== undefined) ?? '';
}
