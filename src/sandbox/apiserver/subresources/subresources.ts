import {
  tokenLifetime,
  type BoundObject,
  type ServiceAccountTokens,
} from '../auth/service-account-tokens.js';
import { apiError } from '../http/api-error.js';
import { objectFrom, parseBody, readBody } from '../http/body.js';
import { type Exchange, sendJson } from '../http/exchange.js';
import type { ResourcePath } from '../http/request-info.js';
import { answerObject, applyPatch, writeOptions } from '../http/resource-handler.js';
import {
  cloneJson,
  isObject,
  numberOf,
  objectOf,
  pathOf,
  stringMapOf,
  stringOf,
  stringsOf,
} from '../json.js';
import { type KubeObject, timestamp } from '../object.js';
import type { BodyView, Operations } from '../registry/operations.js';
import type { Resource } from '../registry/resource.js';
import { specOf } from '../registry/resource.js';
import { mediaType } from '../http/body.js';
import { budgetBlocking } from './eviction.js';
import { fromScale, toScale } from './scale.js';
import type { PodLogs } from './pod-logs.js';

/** Serves every subresource but status and the upgraded streams. */
export class Subresources {
  readonly #operations: Operations;
  readonly #tokens: ServiceAccountTokens;
  readonly #logs: PodLogs;

  constructor(deps: { operations: Operations; tokens: ServiceAccountTokens; logs: PodLogs }) {
    this.#operations = deps.operations;
    this.#tokens = deps.tokens;
    this.#logs = deps.logs;
  }

  /** Serves one request whose authorization is done. */
  async handle(exchange: Exchange, path: ResourcePath, resource: Resource, verb: string): Promise<void> {
    const key = `${resource.group === '' ? '' : `${resource.group}/`}${resource.plural}/${path.subresource}`;
    const name = path.name ?? '';
    const namespace = path.namespace;
    if (path.subresource === 'scale' && resource.scale !== undefined)
      return this.#scale(exchange, path, resource, verb);
    switch (key) {
      case 'pods/log':
        return this.#logs.serve(exchange, this.#operations.get(resource, { namespace, name }));
      case 'pods/binding':
        return this.bind(
          exchange,
          namespace ?? '',
          name,
          await body(exchange, { apiVersion: 'v1', kind: 'Binding' }),
        );
      case 'pods/eviction':
        return this.#evict(exchange, path, resource);
      case 'pods/ephemeralcontainers':
        return this.#ephemeralContainers(exchange, path, resource, verb);
      case 'serviceaccounts/token':
        return this.#token(exchange, path, resource);
      case 'namespaces/finalize':
        return this.#finalize(exchange, path, resource);
      case 'pods/exec':
      case 'pods/attach':
      case 'pods/portforward':
        this.#operations.get(resource, { namespace, name });
        throw apiError.badRequest('Upgrade request required');
      default:
        throw apiError.unknownPath();
    }
  }

  async #scale(exchange: Exchange, path: ResourcePath, resource: Resource, verb: string): Promise<void> {
    const mapping = resource.scale;
    if (mapping === undefined) throw apiError.unknownPath();
    const target = { namespace: path.namespace, name: path.name ?? '' };
    const type = { apiVersion: 'autoscaling/v1', kind: 'Scale' };
    const answer = (object: KubeObject): void => sendJson(exchange, 200, toScale(object, mapping));
    if (verb === 'get') return answer(this.#operations.get(resource, target));
    const raw = await readBody(exchange.request);
    const view: BodyView = {
      type: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
      show: (object) => toScale(object, mapping) as KubeObject,
      write: (object, scale) => fromScale(object, scale, mapping),
    };
    const options = { ...writeOptions(exchange, path), body: view };
    if (verb === 'update') {
      const scale = objectFrom(parseBody(exchange.request, raw), type);
      return answer(
        await this.#operations.modify(resource, target, (o) => fromScale(o, scale, mapping), options),
      );
    }
    if (verb !== 'patch') throw apiError.methodNotAllowed(resource, verb);
    const patchType = mediaType(exchange.request);
    const patch = parseBody(exchange.request, raw, [patchType]);
    if (patch === undefined) throw apiError.badRequest('the patch is empty');
    answer(
      await this.#operations.modify(
        resource,
        target,
        (o) => {
          const patched = applyPatch(patchType, toScale(o, mapping), patch, resource);
          return fromScale(o, objectFrom(patched, type), mapping);
        },
        options,
      ),
    );
  }

  /** Puts a pod on a node. */
  async bind(exchange: Exchange, namespace: string, name: string, asked: KubeObject): Promise<void> {
    const pods = this.#resource('', 'pods');
    const options = writeOptions(exchange, {
      kind: 'resource',
      group: '',
      version: 'v1',
      namespace,
      plural: 'pods',
      name,
      subresource: 'binding',
      rest: '',
      isWatchPath: false,
    });
    const binding = await this.#operations.admitBody(
      'CREATE',
      pods,
      { namespace, name },
      { type: { group: '', version: 'v1', kind: 'Binding' }, object: asked },
      options,
    );
    const node = stringOf(pathOf(binding, 'target', 'name'));
    if (node === '') throw apiError.badRequest('target.name: Required value');
    await this.#operations.modify(
      pods,
      { namespace, name },
      (current) => {
        const bound = stringOf(pathOf(current, 'spec', 'nodeName'));
        if (bound !== '')
          throw apiError.conflict(pods, name, `pod ${name} is already assigned to node "${bound}"`);
        if (current.metadata.deletionTimestamp !== undefined) {
          throw apiError.conflict(pods, name, `pod ${name} is being deleted, cannot be assigned to a host`);
        }
        if (
          binding.metadata.uid !== undefined &&
          binding.metadata.uid !== '' &&
          binding.metadata.uid !== current.metadata.uid
        ) {
          throw apiError.conflict(pods, name, 'Precondition failed: the pod was replaced');
        }
        const next = cloneJson(current);
        specOf(next).nodeName = node;
        const annotations = stringMapOf(binding.metadata.annotations);
        if (Object.keys(annotations).length > 0)
          next.metadata.annotations = { ...next.metadata.annotations, ...annotations };
        const status = objectOf(next.status);
        const conditions = Array.isArray(status.conditions)
          ? status.conditions.filter((c) => pathOf(c, 'type') !== 'PodScheduled')
          : [];
        next.status = {
          ...status,
          conditions: [
            ...conditions,
            { type: 'PodScheduled', status: 'True', lastProbeTime: null, lastTransitionTime: timestamp() },
          ],
        };
        return next;
      },
      { ...options, isAdmitted: true },
    );
    sendJson(exchange, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
  }

  async #evict(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const asked = await body(exchange, { apiVersion: 'policy/v1', kind: 'Eviction' });
    const target = { namespace: path.namespace, name: path.name ?? '' };
    const pod = this.#operations.get(resource, target);
    const options = writeOptions(exchange, path);
    const eviction = await this.#operations.admitBody(
      'CREATE',
      resource,
      target,
      { type: { group: 'policy', version: 'v1', kind: 'Eviction' }, object: asked },
      options,
    );
    const blocking = budgetBlocking(pod, this.#operations.reader);
    if (blocking !== undefined) {
      throw apiError.tooManyRequests(
        "Cannot evict pod as it would violate the pod's disruption budget.",
        10,
        [
          {
            reason: 'DisruptionBudget',
            message: `The disruption budget ${blocking.name} needs ${blocking.desired} healthy pods and has ${blocking.current} currently`,
          },
        ],
      );
    }
    const grace = numberOf(objectOf(eviction.deleteOptions).gracePeriodSeconds);
    await this.#operations.delete(
      resource,
      target,
      { gracePeriodSeconds: grace },
      { ...options, subresource: '', isAdmitted: true },
    );
    sendJson(exchange, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
  }

  async #ephemeralContainers(
    exchange: Exchange,
    path: ResourcePath,
    resource: Resource,
    verb: string,
  ): Promise<void> {
    const target = { namespace: path.namespace, name: path.name ?? '' };
    if (verb === 'get') return answerObject(exchange, 200, this.#operations.get(resource, target), resource);
    const raw = await readBody(exchange.request);
    const type = mediaType(exchange.request);
    const value = parseBody(exchange.request, raw, verb === 'patch' ? [type] : []);
    if (value === undefined) throw apiError.badRequest('the request body is empty');
    const options = writeOptions(exchange, path);
    const updated = await this.#operations.modify(
      resource,
      target,
      (current) => {
        const asked = verb === 'patch' ? applyPatch(type, current, value, resource) : value;
        const next = cloneJson(current);
        const list = pathOf(asked, 'spec', 'ephemeralContainers');
        if (list !== undefined) specOf(next).ephemeralContainers = list;
        return next;
      },
      options,
    );
    answerObject(exchange, 200, updated, resource);
  }

  async #token(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const asked = await body(exchange, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest' });
    const target = { namespace: path.namespace, name: path.name ?? '' };
    const account = this.#operations.get(resource, target);
    const request = await this.#operations.admitBody(
      'CREATE',
      resource,
      target,
      { type: { group: 'authentication.k8s.io', version: 'v1', kind: 'TokenRequest' }, object: asked },
      writeOptions(exchange, path),
    );
    const spec = objectOf(request.spec);
    const seconds = numberOf(spec.expirationSeconds) ?? tokenLifetime.default;
    if (seconds < tokenLifetime.min || seconds > tokenLifetime.max) {
      throw apiError.invalid('TokenRequest', 'authentication.k8s.io', '', [
        {
          reason: 'FieldValueInvalid',
          field: 'spec.expirationSeconds',
          message: `Invalid value: ${seconds}: may not specify a duration ${seconds < tokenLifetime.min ? 'less than 10 minutes' : 'larger than 2^32 seconds'}`,
        },
      ]);
    }
    const audiences = stringsOf(spec.audiences);
    const { token, expires } = this.#tokens.mint(
      { namespace: path.namespace ?? '', name: account.metadata.name, uid: account.metadata.uid },
      {
        audiences: audiences.length > 0 ? audiences : this.#tokens.defaultAudiences,
        lifetimeSeconds: seconds,
        boundTo: this.#boundObject(spec.boundObjectRef, account),
      },
    );
    sendJson(exchange, 201, {
      ...request,
      metadata: {
        name: account.metadata.name,
        namespace: account.metadata.namespace,
        creationTimestamp: timestamp(),
      },
      spec: {
        ...spec,
        audiences: audiences.length > 0 ? audiences : [...this.#tokens.defaultAudiences],
        expirationSeconds: seconds,
      },
      status: { token, expirationTimestamp: timestamp(expires) },
    });
  }

  #boundObject(ref: KubeObject['spec'], account: KubeObject): BoundObject | undefined {
    if (!isObject(ref)) return undefined;
    const kind = stringOf(ref.kind);
    const name = stringOf(ref.name);
    if (kind !== 'Pod' && kind !== 'Secret' && kind !== 'Node') {
      throw apiError.badRequest(
        `cannot bind token for serviceaccount "${account.metadata.name}" to object of kind "${kind}"`,
      );
    }
    const plural = `${kind.toLowerCase()}s`;
    const namespace = kind === 'Node' ? undefined : account.metadata.namespace;
    const object = this.#operations.store.get(plural, namespace, name);
    if (object === undefined) throw apiError.notFound({ group: '', plural }, name);
    const uid = stringOf(ref.uid);
    if (uid !== '' && uid !== object.metadata.uid) {
      throw apiError.conflict(
        { group: '', plural },
        name,
        `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`,
      );
    }
    if (kind === 'Pod' && stringOf(pathOf(object, 'spec', 'serviceAccountName')) !== account.metadata.name) {
      throw apiError.badRequest(
        `cannot bind token for serviceaccount "${account.metadata.name}" to pod running with different serviceaccount name.`,
      );
    }
    const nodeName = kind === 'Pod' ? stringOf(pathOf(object, 'spec', 'nodeName')) : '';
    const node = nodeName === '' ? undefined : this.#operations.store.get('nodes', undefined, nodeName);
    return {
      kind,
      name,
      uid: object.metadata.uid,
      ...(node === undefined ? {} : { node: { name: nodeName, uid: node.metadata.uid } }),
    };
  }

  async #finalize(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const asked = await body(exchange, { apiVersion: 'v1', kind: 'Namespace' });
    const updated = await this.#operations.modify(
      resource,
      { namespace: undefined, name: path.name ?? '' },
      (current) => {
        const next = cloneJson(current);
        next.spec = { ...objectOf(next.spec), finalizers: stringsOf(pathOf(asked, 'spec', 'finalizers')) };
        return next;
      },
      writeOptions(exchange, path),
    );
    answerObject(exchange, 200, updated, resource);
  }

  #resource(group: string, plural: string): Resource {
    const resource = this.#operations.registry.findAnyVersion(group, plural);
    if (resource === undefined) throw apiError.unknownPath();
    return resource;
  }
}

async function body(exchange: Exchange, type: { apiVersion: string; kind: string }): Promise<KubeObject> {
  return objectFrom(parseBody(exchange.request, await readBody(exchange.request)) ?? {}, type);
}
