import { isObject, type Json, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { Operations } from '../registry/operations.js';
import { preparePresent, present, typeOf } from '../registry/present.js';
import type { ServedResource } from '../registry/resource.js';
import type { DeleteOptions, WriteOptions } from '../registry/write-options.js';
import { answerObject } from '../http/answer-object.js';
import { ApiError, apiError, fieldError } from '../api-error.js';
import { type ParsedBody, parseObject, readBody } from '../http/body.js';
import { deleteRequest } from '../http/delete-options.js';
import { type ApiExchange, sendJson } from '../http/exchange.js';
import { listOptions } from '../http/list-options.js';
import { objectFrom } from '../http/object-form.js';
import { readPatch, reportRepeatedKeys } from '../http/patch-request.js';
import { selectionOf } from './read-handler.js';
import type { ResourcePath } from '../http/request-info.js';
import { applyForce, writeOptions } from '../http/write-options.js';
import { patchedObject } from '../http/patched-object.js';

/** How much of a body without a type is quoted. */
const missingTypeQuoteMax = 1_000;
/** deletecollection works through this many objects before it lets other requests run. */
const deleteBatchSize = 100;
/** Deletions of these are answered with the object that is gone, of all others with a Status. */
const returnedWhenGone: ReadonlySet<string> = new Set([
  'persistentvolumeclaims',
  'persistentvolumes',
  'pods',
  'podtemplates',
  'replicationcontrollers',
  'resourcequotas',
  'serviceaccounts',
  'services',
]);

/** Handles create, update, patch, delete and deletecollection of any resource. */
export class WriteHandler {
  readonly #operations: Operations;

  constructor(operations: Operations) {
    this.#operations = operations;
  }

  async create(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const options = writeOptions(exchange, path, 'CreateOptions');
    const { value, ...findings } = await writtenObject(exchange, resource);
    const created = await this.#operations.create(
      resource,
      path.namespace,
      objectFrom(value, typeOf(resource)),
      { ...options, ...findings },
    );
    answerObject(exchange, 201, created, resource);
  }

  async update(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const options = writeOptions(exchange, path, 'UpdateOptions');
    const { value, ...findings } = await writtenObject(exchange, resource);
    const { object, isNew } = await this.#operations.replace(
      resource,
      { namespace: path.namespace, name: path.name ?? '' },
      objectFrom(value, typeOf(resource)),
      { ...options, ...findings },
    );
    answerObject(exchange, isNew ? 201 : 200, object, resource);
  }

  async patch(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const patch = await readPatch(exchange.request, { allowsStrategic: !resource.isCustom });
    const isForced = applyForce(exchange.url.searchParams, patch.type === 'apply');
    const options = {
      ...writeOptions(exchange, path, 'PatchOptions'),
      duplicates: patch.duplicates,
    };
    const target = { namespace: path.namespace, name: path.name ?? '' };
    if (patch.type === 'apply') {
      reportRepeatedKeys(patch, options);
      const { object, isNew } = await this.#operations.apply(
        resource,
        target,
        appliedObject(patch.value, resource),
        { ...options, isForced },
      );
      return answerObject(exchange, isNew ? 201 : 200, object, resource);
    }
    const patched = await this.#operations.modify(
      resource,
      target,
      (current) => patchedObject(patch, current, resource, options),
      options,
    );
    answerObject(exchange, 200, patched, resource);
  }

  async delete(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const { options: request, isDryRun } = await deleteRequest(exchange);
    warnOfOrphans(exchange, resource, request);
    const target = { namespace: path.namespace, name: path.name ?? '' };
    const { object, isGone } = await this.#operations.delete(
      resource,
      target,
      request,
      deleteWriteOptions(exchange, isDryRun),
    );
    if (!isGone || returnedWhenGone.has(resource.storage))
      return answerObject(exchange, 200, object, resource);
    sendJson(exchange, 200, {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: {
        name: target.name,
        ...(resource.group === '' ? {} : { group: resource.group }),
        kind: resource.plural,
        uid: object.metadata.uid,
      },
    });
  }

  async deleteCollection(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const selectors = listOptions(exchange.url.searchParams, false);
    const { matches } = selectionOf(selectors, path, resource);
    const { options: request, isDryRun } = await deleteRequest(exchange);
    warnOfOrphans(exchange, resource, request);
    const options = deleteWriteOptions(exchange, isDryRun);
    const { store } = this.#operations;
    await preparePresent(store.list(resource.storage, path.namespace), resource);
    const chosen = store.list(resource.storage, path.namespace).filter((o) => matches(present(o, resource)));
    const items: ApiObject[] = [];
    for (const [i, object] of chosen.entries()) {
      const target = { namespace: object.metadata.namespace, name: object.metadata.name };
      try {
        items.push((await this.#operations.delete(resource, target, request, options)).object);
      } catch (error) {
        // Somebody else was faster.
        const isGone = store.get(resource.storage, target.namespace, target.name) === undefined;
        if (!isGone || !(error instanceof ApiError) || error.reason !== 'NotFound') throw error;
      }
      if (i % deleteBatchSize === deleteBatchSize - 1) await new Promise((resolve) => setImmediate(resolve));
    }
    const { apiVersion, kind } = typeOf(resource);
    sendJson(exchange, 200, {
      kind: `${kind}List`,
      apiVersion,
      metadata: { resourceVersion: String(store.revision) },
      items,
    });
  }
}

function warnOfOrphans({ warnings }: ApiExchange, resource: ServedResource, request: DeleteOptions): void {
  const warning = resource.orphansByDefault?.warning;
  if (warning !== undefined && request.propagationPolicy === undefined) warnings.push(warning);
}

/** The body of a create or update. Throws 400, 413, 415 and 422. */
async function writtenObject(exchange: ApiExchange, resource: ServedResource): Promise<ParsedBody> {
  const raw = await readBody(exchange.request);
  const parsed = parseObject(exchange.request, raw, resource.kind);
  if (!resource.isCustom || !isObject(parsed.value)) return parsed;
  // Custom resources have to say what they are.
  const { kind, apiVersion, metadata } = parsed.value;
  for (const [what, given] of [
    ['Kind', kind],
    ['apiVersion', apiVersion],
  ] as const) {
    if (given !== undefined && given !== null && given !== '') continue;
    const text = raw.toString('utf8').slice(0, missingTypeQuoteMax);
    throw apiError.badRequest(
      `the object provided is unrecognized (must be of type ${resource.kind}): Object '${what}' is missing in '${text}' (${text})`,
    );
  }
  if (typeof kind === 'string' && kind !== resource.kind) {
    const name = isObject(metadata) ? stringOf(metadata.name) : '';
    throw apiError.invalid(kind, resource.group, name, [
      fieldError.invalid('kind', kind, `must be ${resource.kind}`),
    ]);
  }
  return parsed;
}

function deleteWriteOptions(exchange: ApiExchange, isDryRun: boolean): WriteOptions {
  return { user: exchange.user, manager: '', isDryRun, warnings: exchange.warnings, subresource: '' };
}

/** An applied configuration; unlike other bodies it must say what it is. Throws 400. */
function appliedObject(value: Json, resource: ServedResource): ApiObject {
  const given = isObject(value) ? value : {};
  const expected = typeOf(resource);
  if (given.apiVersion !== expected.apiVersion || given.kind !== expected.kind) {
    const apiVersion = stringOf(given.apiVersion);
    const shown = apiVersion.includes('/') ? apiVersion : `/${apiVersion}`;
    throw apiError.badRequest(`invalid object type: ${shown}, Kind=${stringOf(given.kind)}`);
  }
  return objectFrom(value, expected);
}
