import { apiError } from './api-error.js';
import { bodyMaxBytes, mediaType, objectFrom, parseBody, readBody } from './body.js';
import { type Exchange, sendJson } from './exchange.js';
import type { ResourcePath } from './request-info.js';
import { isObject, type Json, type JsonObject, numberOf, objectOf, stringOf } from '../json.js';
import { apiVersionOf, type KubeObject } from '../object.js';
import { jsonPatch } from '../patch/json-patch.js';
import { mergePatch } from '../patch/merge-patch.js';
import { strategicMergePatch } from '../patch/strategic-merge-patch.js';
import { negotiateForm } from '../printing/negotiate.js';
import { type IncludeObject, partialMetadata, toTable } from '../printing/table.js';
import { FieldSelector } from '../registry/field-selector.js';
import { LabelSelector } from '../registry/label-selector.js';
import {
  type DeleteOptions,
  type FieldValidation,
  type Operations,
  present,
  type WriteOptions,
} from '../registry/operations.js';
import type { Resource } from '../registry/resource.js';
import { WatchStream } from '../watch/watch-stream.js';
import { pageOf } from './list-pages.js';

const patchTypes = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;
const managerMaxLength = 128;
/** deletecollection works through this many objects before it lets other requests run. */
const deleteBatchSize = 100;

function flag(url: URL, name: string): boolean {
  const value = url.searchParams.get(name);
  return value === 'true' || value === '1' || value === '';
}

/** Handles list, watch, get, create, update, patch, delete of any resource. */
export class ResourceHandler {
  readonly #operations: Operations;

  constructor(operations: Operations) {
    this.#operations = operations;
  }

  /** Serves one request; `status` is the only subresource that comes here. */
  async handle(exchange: Exchange, path: ResourcePath, resource: Resource, verb: string): Promise<void> {
    switch (verb) {
      case 'get':
        return this.#get(exchange, path, resource);
      case 'list':
        return this.#list(exchange, path, resource);
      case 'watch':
        return this.#watch(exchange, path, resource);
      case 'create':
        return this.#create(exchange, path, resource);
      case 'update':
        return this.#update(exchange, path, resource);
      case 'patch':
        return this.#patch(exchange, path, resource);
      case 'delete':
        return this.#delete(exchange, path, resource);
      case 'deletecollection':
        return this.#deleteCollection(exchange, path, resource);
      default:
        throw apiError.methodNotAllowed(resource, verb);
    }
  }

  #get(exchange: Exchange, path: ResourcePath, resource: Resource): void {
    const object = this.#operations.get(resource, { namespace: path.namespace, name: path.name ?? '' });
    answerObject(exchange, 200, object, resource);
  }

  #selection(exchange: Exchange, path: ResourcePath, resource: Resource) {
    const query = exchange.url.searchParams;
    const labels = LabelSelector.parse(query.get('labelSelector') ?? '');
    const fields = FieldSelector.parse(query.get('fieldSelector') ?? '', resource.selectableFields);
    const name = path.name;
    return (o: KubeObject): boolean =>
      labels.matches(o.metadata.labels) &&
      fields.matches(o) &&
      (name === undefined || o.metadata.name === name);
  }

  #list(exchange: Exchange, path: ResourcePath, resource: Resource): void {
    const { store } = this.#operations;
    const query = exchange.url.searchParams;
    const matches = this.#selection(exchange, path, resource);
    const all = store
      .list(resource.storage, path.namespace)
      .map((o) => present(o, resource))
      .filter(matches);
    const page = pageOf(all, store, {
      limit: query.get('limit'),
      continueToken: query.get('continue'),
      resourceVersion: query.get('resourceVersion'),
      match: query.get('resourceVersionMatch'),
      resource,
    });
    const form = negotiateForm(exchange.request.headers.accept);
    if (form === 'table') {
      sendJson(
        exchange,
        200,
        toTable(page.items, resource, {
          include: includeOf(exchange),
          metadata: page.metadata,
          withColumns: true,
        }),
      );
    } else if (form === 'metadata') {
      sendJson(exchange, 200, {
        kind: 'PartialObjectMetadataList',
        apiVersion: 'meta.k8s.io/v1',
        metadata: page.metadata,
        items: page.items.map(partialMetadata),
      });
    } else {
      const isCustom = resource.isCustom;
      sendJson(exchange, 200, {
        kind: `${resource.kind}List`,
        apiVersion: apiVersionOf(resource.group, resource.version),
        metadata: page.metadata,
        // Items of built-in lists carry no type of their own, as in Kubernetes.
        items: page.items.map((o) => (isCustom ? o : withoutType(o))),
      });
    }
  }

  async #watch(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const query = exchange.url.searchParams;
    const timeout = query.get('timeoutSeconds');
    const stream = new WatchStream(exchange, this.#operations.store, {
      resource,
      namespace: path.namespace,
      matches: this.#selection(exchange, path, resource),
      resourceVersion: query.get('resourceVersion') ?? '',
      sendsInitialEvents: query.get('sendInitialEvents') === 'true',
      allowsBookmarks: flag(exchange.url, 'allowWatchBookmarks') && query.has('allowWatchBookmarks'),
      timeoutSeconds:
        timeout === null || !/^\d+$/.test(timeout) || timeout === '0' ? undefined : Number(timeout),
      form: negotiateForm(exchange.request.headers.accept),
      include: includeOf(exchange),
    });
    await stream.run();
  }

  async #create(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const body = objectFrom(parseBody(exchange.request, await readBody(exchange.request)), typeOf(resource));
    if (resource.namespaced && path.namespace === undefined) {
      throw apiError.badRequest('namespace is required: the resource is namespaced');
    }
    const created = await this.#operations.create(
      resource,
      path.namespace,
      body,
      writeOptions(exchange, path),
    );
    answerObject(exchange, 201, created, resource);
  }

  async #update(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const body = objectFrom(parseBody(exchange.request, await readBody(exchange.request)), typeOf(resource));
    const target = { namespace: path.namespace, name: path.name ?? '' };
    const updated = await this.#operations.replace(resource, target, body, writeOptions(exchange, path));
    answerObject(exchange, 200, updated, resource);
  }

  async #patch(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const type = mediaType(exchange.request);
    const accepted = Object.values(patchTypes).filter(
      (t) => t !== patchTypes.strategic || !resource.isCustom,
    );
    if (!(accepted as readonly string[]).includes(type)) throw apiError.unsupportedMediaType(type, accepted);
    const patch = parseBody(exchange.request, await readBody(exchange.request), accepted);
    if (patch === undefined) throw apiError.badRequest('the patch is empty');
    const options = writeOptions(exchange, path);
    const target = { namespace: path.namespace, name: path.name ?? '' };
    const isForced = flag(exchange.url, 'force') && exchange.url.searchParams.has('force');
    if (type === patchTypes.apply) {
      if (exchange.url.searchParams.get('fieldManager') === null) {
        throw apiError.badRequest(
          'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
        );
      }
      const existed =
        this.#operations.store.get(resource.storage, target.namespace, target.name) !== undefined;
      const applied = await this.#operations.apply(resource, target, objectFrom(patch, typeOf(resource)), {
        ...options,
        isForced,
      });
      answerObject(exchange, existed ? 200 : 201, applied, resource);
      return;
    }
    if (isForced)
      throw apiError.badRequest(
        'PatchOptions.meta.k8s.io "" is invalid: force: Forbidden: may not be specified for non-apply patch',
      );
    const patched = await this.#operations.modify(
      resource,
      target,
      (current) =>
        this.#decodePatched(applyPatch(type, current, patch, resource), current, resource, options),
      options,
    );
    answerObject(exchange, 200, patched, resource);
  }

  #decodePatched(value: Json, current: KubeObject, resource: Resource, options: WriteOptions): KubeObject {
    const object = objectFrom(value, typeOf(resource));
    if (object.metadata.name !== current.metadata.name) {
      throw apiError.badRequest(
        `the name of the object (${object.metadata.name}) does not match the name on the URL (${current.metadata.name})`,
      );
    }
    return this.#operations.decode(resource, current.metadata.namespace, object, options);
  }

  async #delete(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const { request, dryRun } = await deleteRequest(exchange);
    const target = { namespace: path.namespace, name: path.name ?? '' };
    const options = writeOptions(exchange, path);
    const result = await this.#operations.delete(resource, target, request, {
      ...options,
      isDryRun: options.isDryRun === true || dryRun,
    });
    if (!result.isGone) {
      answerObject(exchange, 200, result.object, resource);
      return;
    }
    sendJson(exchange, 200, {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: {
        name: target.name,
        ...(resource.group === '' ? {} : { group: resource.group }),
        kind: resource.plural,
        uid: result.object.metadata.uid,
      },
    });
  }

  async #deleteCollection(exchange: Exchange, path: ResourcePath, resource: Resource): Promise<void> {
    const { request, dryRun } = await deleteRequest(exchange);
    const matches = this.#selection(exchange, path, resource);
    const options = { ...writeOptions(exchange, path) };
    const isDryRun = options.isDryRun === true || dryRun;
    const chosen = this.#operations.store
      .list(resource.storage, path.namespace)
      .filter((o) => matches(present(o, resource)));
    const items: KubeObject[] = [];
    for (const [i, object] of chosen.entries()) {
      const target = { namespace: object.metadata.namespace, name: object.metadata.name };
      const stillThere = this.#operations.store.get(resource.storage, target.namespace, target.name);
      if (stillThere === undefined) continue;
      const { object: deleted } = await this.#operations.delete(resource, target, request, {
        ...options,
        isDryRun,
      });
      items.push(deleted);
      if (i % deleteBatchSize === deleteBatchSize - 1) await new Promise((resolve) => setImmediate(resolve));
    }
    sendJson(exchange, 200, {
      kind: `${resource.kind}List`,
      apiVersion: apiVersionOf(resource.group, resource.version),
      metadata: { resourceVersion: String(this.#operations.store.revision) },
      items,
    });
  }
}

/** The apiVersion and kind of a resource. */
export function typeOf(resource: Resource): { apiVersion: string; kind: string } {
  return { apiVersion: apiVersionOf(resource.group, resource.version), kind: resource.kind };
}

/** Applies a JSON, merge or strategic patch to an object. */
export function applyPatch(type: string, current: JsonObject, patch: Json, resource: Resource): Json {
  switch (type) {
    case patchTypes.json:
      return jsonPatch(current, patch);
    case patchTypes.merge:
      if (!isObject(patch)) throw apiError.badRequest('a merge patch must be an object');
      return mergePatch(current, patch);
    default:
      if (!isObject(patch)) throw apiError.badRequest('a strategic merge patch must be an object');
      return strategicMergePatch(current, patch, resource.schema);
  }
}

function withoutType({ apiVersion: _a, kind: _k, ...rest }: KubeObject): JsonObject {
  return rest;
}

function includeOf(exchange: Exchange): IncludeObject {
  const value = exchange.url.searchParams.get('includeObject');
  return value === 'None' || value === 'Object' ? value : 'Metadata';
}

/** Answers with one object in the form the client asked for. */
export function answerObject(
  exchange: Exchange,
  status: number,
  object: KubeObject,
  resource: Resource,
): void {
  const form = negotiateForm(exchange.request.headers.accept);
  const metadata = { resourceVersion: object.metadata.resourceVersion };
  if (form === 'table') {
    sendJson(
      exchange,
      status,
      toTable([object], resource, { include: includeOf(exchange), metadata, withColumns: true }),
    );
  } else sendJson(exchange, status, form === 'metadata' ? partialMetadata(object) : object);
}

/** The options of a write as its query gives them. */
export function writeOptions(exchange: Exchange, path: ResourcePath): WriteOptions {
  const query = exchange.url.searchParams;
  const dryRuns = query.getAll('dryRun');
  if (dryRuns.some((d) => d !== 'All' && d !== '')) {
    throw apiError.badRequest(
      `invalid dryRun value: Unsupported value: ${JSON.stringify(dryRuns)}: supported values: "All"`,
    );
  }
  const validation = query.get('fieldValidation') ?? 'Warn';
  if (validation !== 'Ignore' && validation !== 'Warn' && validation !== 'Strict') {
    throw apiError.badRequest(
      `fieldValidation: Unsupported value: ${JSON.stringify(validation)}: supported values: "Ignore", "Strict", "Warn"`,
    );
  }
  const agent = (exchange.request.headers['user-agent'] ?? 'unknown').split('/')[0] ?? 'unknown';
  const manager = query.get('fieldManager') ?? agent;
  if (manager.length > managerMaxLength)
    throw apiError.badRequest('fieldManager: Too long: may not be more than 128 bytes');
  return {
    user: exchange.user,
    manager: manager === '' ? 'unknown' : manager,
    isDryRun: dryRuns.includes('All'),
    fieldValidation: validation satisfies FieldValidation,
    warnings: exchange.warnings,
    subresource: path.subresource,
  };
}

/** DeleteOptions from body and query; the query counts only where the body is silent. */
export async function deleteRequest(
  exchange: Exchange,
): Promise<{ request: DeleteOptions; dryRun: boolean }> {
  const body = objectOf(parseBody(exchange.request, await readBody(exchange.request, bodyMaxBytes)));
  const query = exchange.url.searchParams;
  const policy = stringOf(body.propagationPolicy) || (query.get('propagationPolicy') ?? '');
  if (policy !== '' && policy !== 'Orphan' && policy !== 'Background' && policy !== 'Foreground') {
    throw apiError.badRequest(
      `DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Unsupported value: ${JSON.stringify(policy)}: supported values: "Background", "Foreground", "Orphan"`,
    );
  }
  const graceQuery = query.get('gracePeriodSeconds');
  const grace = numberOf(body.gracePeriodSeconds) ?? (graceQuery === null ? undefined : Number(graceQuery));
  const preconditions = objectOf(body.preconditions);
  const orphan = body.orphanDependents === true || query.get('orphanDependents') === 'true';
  return {
    dryRun: Array.isArray(body.dryRun) && body.dryRun.includes('All'),
    request: {
      ...(grace === undefined || Number.isNaN(grace) ? {} : { gracePeriodSeconds: grace }),
      ...(policy === ''
        ? orphan
          ? { propagationPolicy: 'Orphan' as const }
          : {}
        : { propagationPolicy: policy }),
      preconditions: {
        uid: typeof preconditions.uid === 'string' ? preconditions.uid : undefined,
        resourceVersion:
          typeof preconditions.resourceVersion === 'string' ? preconditions.resourceVersion : undefined,
      },
    },
  };
}
