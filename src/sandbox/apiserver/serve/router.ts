import type { AggregationProxy } from '../aggregation/aggregation-proxy.js';
import type { RemoteApis } from '../aggregation/remote-apis.js';
import type { Authorizer } from '../rbac/authorizer.js';
import { decodeObject } from '../registry/decode.js';
import type { Operations } from '../registry/operations.js';
import { typeOf } from '../registry/present.js';
import type { Registry } from '../registry/registry.js';
import type { ServedResource } from '../registry/resource.js';
import type { Subresources } from '../subresources/subresources.js';
import { apiError } from '../api-error.js';
import { attributesOf, verbOf } from '../http/attributes.js';
import { parseObject, readBody } from '../http/body.js';
import { type ApiExchange, sendJson } from '../http/exchange.js';
import type { FormLimits } from '../http/negotiation.js';
import { objectFrom } from '../http/object-form.js';
import { answerUnknownPage, type PlainPaths } from './plain-paths.js';
import { ReadHandler } from './read-handler.js';
import type { ResourcePath } from '../http/request-info.js';
import { assertAllowed, type Reviews } from './reviews.js';
import { isServedMethod } from './route-methods.js';
import { WriteHandler } from './write-handler.js';
import { writeOptions } from '../http/write-options.js';

export interface RouterDeps {
  readonly authorizer: Authorizer;
  readonly registry: Registry;
  readonly operations: Operations;
  readonly reviews: Reviews;
  readonly subresources: Subresources;
  readonly plainPaths: PlainPaths;
  readonly remotes: RemoteApis;
  readonly aggregation: AggregationProxy;
}

/** Subresources that connect to something rather than read or write. */
export const connectSubresources: ReadonlySet<string> = new Set(['exec', 'attach', 'portforward', 'proxy']);

/** Reviews and the like: answered, never stored. */
function isCreateOnly({ verbs }: ServedResource): boolean {
  return verbs?.length === 1 && verbs[0] === 'create';
}

/** Authorizes a request and takes it to what serves it. */
export class Router {
  readonly #deps: RouterDeps;
  readonly #reads: ReadHandler;
  readonly #writes: WriteHandler;

  constructor(deps: RouterDeps) {
    this.#deps = deps;
    this.#reads = new ReadHandler(deps.operations);
    this.#writes = new WriteHandler(deps.operations);
  }

  get reads(): ReadHandler {
    return this.#reads;
  }

  async route(exchange: ApiExchange): Promise<void> {
    const { path, user, request } = exchange;
    const method = request.method ?? 'GET';
    const remote = this.#deps.remotes.answering(path);
    if (path.kind === 'path') {
      const verb = method === 'HEAD' ? 'get' : method.toLowerCase();
      assertAllowed(this.#deps.authorizer, user, { kind: 'path', verb, path: path.path });
      if (remote !== undefined) return this.#deps.aggregation.serve(exchange, remote);
      return this.#deps.plainPaths.serve(exchange, path.path);
    }
    const verb = verbOf(method, path, exchange.url);
    assertAllowed(this.#deps.authorizer, user, attributesOf(path, verb, exchange.url));
    if (remote !== undefined) return this.#deps.aggregation.serve(exchange, remote);
    const resource = this.resourceAt(path);
    if (resource === undefined) {
      const isKnown = path.group === '' || this.#deps.registry.hasBuiltinVersion(path.group, path.version);
      if (isKnown) throw apiError.unknownPath();
      return answerUnknownPage(exchange);
    }
    if (resource.deprecationWarning !== undefined) exchange.warnings.push(resource.deprecationWarning);
    if (path.subresource !== '' && !(path.subresource === 'status' && resource.hasStatus)) {
      return this.#deps.subresources.handle(
        exchange,
        path,
        resource,
        connectSubresources.has(path.subresource) ? 'connect' : verb,
      );
    }
    if (!isServedMethod(resource, path, verb, method)) throw apiError.methodNotAllowed();
    if (isCreateOnly(resource)) return this.#createOnly(exchange, path, resource);
    return this.#serve(exchange, path, resource, verb);
  }

  /** Whether another server answers at a path, in forms of its own. */
  isRemote(path: ResourcePath): boolean {
    return this.#deps.remotes.answering(path) !== undefined;
  }

  /** The forms of an answer that the resource at a path cannot give. */
  formLimits(path: ResourcePath): FormLimits {
    const resource = this.resourceAt(path);
    if (resource === undefined) return {};
    return { isCustom: resource.isCustom, allowsTable: !isCreateOnly(resource) };
  }

  /** The resource a path leads to; undefined where the path has the wrong scope too. */
  resourceAt(path: ResourcePath): ServedResource | undefined {
    const resource = this.#deps.registry.find(path.group, path.version, path.plural);
    if (resource === undefined) return undefined;
    const isScoped = path.namespace !== undefined;
    if (!resource.namespaced) return isScoped ? undefined : resource;
    return path.name !== undefined && !isScoped && !path.isWatchPath ? undefined : resource;
  }

  async #serve(
    exchange: ApiExchange,
    path: ResourcePath,
    resource: ServedResource,
    verb: string,
  ): Promise<void> {
    switch (verb) {
      case 'get':
        return this.#reads.get(exchange, path, resource);
      case 'list':
        return this.#reads.list(exchange, path, resource);
      case 'watch':
        return this.#reads.watch(exchange, path, resource);
      case 'create':
        return this.#writes.create(exchange, path, resource);
      case 'update':
        return this.#writes.update(exchange, path, resource);
      case 'patch':
        return this.#writes.patch(exchange, path, resource);
      case 'delete':
        return this.#writes.delete(exchange, path, resource);
      default:
        return this.#writes.deleteCollection(exchange, path, resource);
    }
  }

  /** Kinds that are only ever created: reviews answer a question, a Binding places a pod. */
  async #createOnly(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const options = writeOptions(exchange, path, 'CreateOptions');
    const { value, ...findings } = parseObject(
      exchange.request,
      await readBody(exchange.request),
      resource.kind,
    );
    const body = objectFrom(value, typeOf(resource));
    if (resource.kind === 'Binding') {
      await this.#deps.subresources.bind(exchange, path.namespace ?? '', body.metadata.name, body);
      return;
    }
    const draft = decodeObject(resource, path.namespace, body, { ...options, ...findings });
    sendJson(exchange, 201, this.#deps.reviews.answer(draft, exchange.user, path.namespace));
  }
}
