import type { ServiceAccountTokens } from '../auth/service-account-tokens.js';
import { answerObject } from '../http/answer-object.js';
import { apiError } from '../api-error.js';
import { type ApiExchange, sendJson } from '../http/exchange.js';
import type { ResourcePath } from '../http/request-info.js';
import { writeOptions } from '../http/write-options.js';
import { cloneJson, objectOf, valueIn, stringsOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { ProxyHandler } from '../proxy/proxy-handler.js';
import type { Operations } from '../registry/operations.js';
import type { ServedResource } from '../registry/resource.js';
import { admitConnection } from './connect-options.js';
import { bindPod } from './binding.js';
import { bodyOf } from './body.js';
import { serveApproval } from './certificate-approval.js';
import { serveEphemeralContainers } from './ephemeral-containers.js';
import { evictPod } from './eviction.js';
import { assertPlaced } from './pod-container.js';
import type { PodLogs } from './pod-logs.js';
import { ScaleHandler } from './scale-handler.js';
import { requestToken } from './token-request.js';

export interface SubresourcesDeps {
  readonly operations: Operations;
  readonly tokens: ServiceAccountTokens;
  readonly logs: PodLogs;
  readonly proxy: ProxyHandler;
}

const success = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 } as const;

/** Serves every subresource but status and the upgraded streams. */
export class Subresources {
  readonly #deps: SubresourcesDeps;
  readonly #operations: Operations;
  readonly #scale: ScaleHandler;

  constructor(deps: SubresourcesDeps) {
    this.#deps = deps;
    this.#operations = deps.operations;
    this.#scale = new ScaleHandler(deps.operations);
  }

  /** Serves one request whose authorization is done. */
  async handle(
    exchange: ApiExchange,
    path: ResourcePath,
    resource: ServedResource,
    verb: string,
  ): Promise<void> {
    if (path.name === undefined) throw apiError.methodNotAllowed();
    if (path.subresource === 'scale' && resource.scale !== undefined)
      return this.#scale.handle(exchange, path, resource, resource.scale, verb);
    const key = `${resource.group === '' ? '' : `${resource.group}/`}${resource.plural}/${path.subresource}`;
    switch (key) {
      case 'pods/log':
        assertVerb(verb, 'get');
        return this.#deps.logs.serve(exchange, this.#object(resource, path));
      case 'pods/binding':
        assertVerb(verb, 'create');
        return this.bind(
          exchange,
          path.namespace ?? '',
          path.name,
          await bodyOf(exchange, { apiVersion: 'v1', kind: 'Binding' }),
        );
      case 'pods/eviction':
        assertVerb(verb, 'create');
        return this.#evict(exchange, path, resource);
      case 'pods/ephemeralcontainers':
        return serveEphemeralContainers(this.#operations, exchange, path, resource, verb);
      case 'serviceaccounts/token':
        assertVerb(verb, 'create');
        return this.#token(exchange, path, resource);
      case 'namespaces/finalize':
        assertVerb(verb, 'update');
        return this.#finalize(exchange, path, resource);
      case 'certificates.k8s.io/certificatesigningrequests/approval':
        return serveApproval(this.#operations, exchange, path, resource, verb);
      case 'pods/exec':
      case 'pods/attach':
      case 'pods/portforward': {
        const { method } = exchange.request;
        if (method !== 'GET' && method !== 'POST') throw apiError.methodNotAllowed();
        assertPlaced(this.#object(resource, path));
        throw apiError.badRequest('Upgrade request required');
      }
      case 'pods/proxy':
      case 'services/proxy':
      case 'nodes/proxy':
        await admitConnection(this.#operations, resource, path, exchange.url.searchParams, exchange);
        return this.#deps.proxy.serve(exchange, path);
      default:
        throw apiError.unknownPath();
    }
  }

  #object(resource: ServedResource, path: ResourcePath): ApiObject {
    return this.#operations.get(resource, { namespace: path.namespace, name: path.name ?? '' });
  }

  /** Puts a pod on a node. */
  async bind(exchange: ApiExchange, namespace: string, name: string, binding: ApiObject): Promise<void> {
    const pods = this.#operations.registry.find('', 'v1', 'pods');
    if (pods === undefined) throw apiError.unknownPath();
    const path = {
      kind: 'resource',
      group: '',
      version: 'v1',
      namespace,
      plural: 'pods',
      name,
      subresource: 'binding',
      rest: '',
      isWatchPath: false,
    } as const;
    const options = writeOptions(exchange, path, 'CreateOptions');
    const admitted = await this.#operations.admitBody(
      'CREATE',
      pods,
      { namespace, name },
      { type: { group: '', version: 'v1', kind: 'Binding' }, object: binding },
      options,
    );
    await bindPod(this.#operations, pods, { namespace, name }, admitted, { ...options, isAdmitted: true });
    sendJson(exchange, 201, success);
  }

  async #evict(exchange: ApiExchange, path: ResourcePath, pods: ServedResource): Promise<void> {
    const options = writeOptions(exchange, path, 'CreateOptions');
    const eviction = await bodyOf(exchange, { apiVersion: 'policy/v1', kind: 'Eviction' });
    const target = { namespace: path.namespace, name: path.name ?? '' };
    // A pod that is not there is told before anybody is asked about it.
    this.#object(pods, path);
    const admitted = await this.#operations.admitBody(
      'CREATE',
      pods,
      target,
      { type: { group: 'policy', version: 'v1', kind: 'Eviction' }, object: eviction },
      options,
    );
    await evictPod(this.#operations, pods, target, admitted, { ...options, isAdmitted: true });
    sendJson(exchange, 201, success);
  }

  async #token(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const options = writeOptions(exchange, path, 'CreateOptions');
    const type = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' };
    const asked = await bodyOf(exchange, type);
    const account = this.#object(resource, path);
    const target = { namespace: path.namespace, name: path.name ?? '' };
    const request = await this.#operations.admitBody(
      'CREATE',
      resource,
      target,
      { type: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' }, object: asked },
      options,
    );
    sendJson(exchange, 201, requestToken(this.#operations, this.#deps.tokens, account, request));
  }

  async #finalize(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const options = writeOptions(exchange, path, 'UpdateOptions');
    const asked = await bodyOf(exchange, { apiVersion: 'v1', kind: 'Namespace' });
    const build = (current: ApiObject): ApiObject => {
      const next = cloneJson(current);
      next.spec = { ...objectOf(next.spec), finalizers: stringsOf(valueIn(asked, 'spec', 'finalizers')) };
      return next;
    };
    const target = { namespace: undefined, name: path.name ?? '' };
    answerObject(exchange, 200, await this.#operations.modify(resource, target, build, options), resource);
  }
}

function assertVerb(verb: string, wanted: string): void {
  if (verb !== wanted) throw apiError.methodNotAllowed();
}
