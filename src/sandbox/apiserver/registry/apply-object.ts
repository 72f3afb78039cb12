import { ApiError, apiError } from '../api-error.js';
import { cloneJson } from '../../base/json.js';
import { applyConfiguration } from '../managed-fields/apply.js';
import type { ApiObject } from '../object.js';
import type { Store } from '../storage/store.js';
import { decodeObject } from './decode.js';
import { assertDeclared } from './declared-fields.js';
import { assertNamed } from './identity.js';
import type { ServedResource } from './resource.js';
import { Retries } from './retries.js';
import type { ModifyMode, Target, WriteOptions, WriteResult } from './write-options.js';
import { writerOf } from './writer.js';
import { configFor } from './written-part.js';

/** What of the operations an apply is made of. */
interface CreateAndModify {
  readonly store: Store;
  create(
    resource: ServedResource,
    namespace: string | undefined,
    body: ApiObject,
    options: WriteOptions,
  ): Promise<ApiObject>;
  modify(
    resource: ServedResource,
    target: Target,
    build: (current: ApiObject) => ApiObject,
    options: WriteOptions,
    mode?: ModifyMode,
  ): Promise<ApiObject>;
}

type ApplyOptions = WriteOptions & { readonly isForced: boolean };

/** Server-side apply; creates the object when it is missing. Throws 400, 404, 409 and 422. */
export async function applyObject(
  operations: CreateAndModify,
  resource: ServedResource,
  target: Target,
  body: ApiObject,
  options: ApplyOptions,
): Promise<WriteResult> {
  if (body.metadata.managedFields !== undefined) {
    throw apiError.badRequest('metadata.managedFields must be nil');
  }
  assertDeclared(resource, target, body);
  const applied = decodeObject(resource, target.namespace, body, { ...options, isApply: true });
  const isNamed = applied.metadata.name !== '';
  if (isNamed) assertNamed(applied, target.name);
  else applied.metadata.name = target.name;
  const retries = new Retries();
  for (;;) {
    const isNew = operations.store.get(resource.storage, target.namespace, target.name) === undefined;
    if (isNew && !isNamed) assertNamed(body, target.name);
    try {
      const object = isNew
        ? await applyNew(operations, resource, target, applied, options)
        : await applyOver(operations, resource, target, applied, options);
      return { object, isNew };
    } catch (error) {
      // Somebody else created or deleted it in between.
      const isRace = error instanceof ApiError && error.reason === (isNew ? 'AlreadyExists' : 'NotFound');
      const isThere = operations.store.get(resource.storage, target.namespace, target.name) !== undefined;
      if (!isRace || isThere !== isNew) throw error;
      retries.next();
    }
  }
}

function applyNew(
  operations: CreateAndModify,
  resource: ServedResource,
  target: Target,
  applied: ApiObject,
  options: ApplyOptions,
): Promise<ApiObject> {
  const subresource = options.subresource ?? '';
  if (subresource !== '') throw apiError.notFound(resource, target.name);
  const { uid } = applied.metadata;
  if (typeof uid === 'string' && uid !== '') {
    throw apiError.conflict(
      resource,
      target.name,
      `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`,
    );
  }
  const created = applyConfiguration({
    live: undefined,
    applied: configFor(applied, resource, subresource),
    schema: resource.schema,
    who: writerOf(resource, options),
    force: options.isForced,
  });
  delete (created.metadata as Partial<ApiObject['metadata']>).resourceVersion;
  return operations.create(resource, target.namespace, created, options);
}

function applyOver(
  operations: CreateAndModify,
  resource: ServedResource,
  target: Target,
  applied: ApiObject,
  options: ApplyOptions,
): Promise<ApiObject> {
  const config = configFor(applied, resource, options.subresource ?? '');
  const { resourceVersion, uid } = applied.metadata;
  const build = (live: ApiObject): ApiObject => {
    const next = applyConfiguration({
      live,
      applied: config,
      schema: resource.schema,
      who: writerOf(resource, options),
      force: options.isForced,
    });
    if (typeof resourceVersion === 'string' && resourceVersion !== '')
      next.metadata.resourceVersion = resourceVersion;
    if (typeof uid === 'string' && uid !== '') next.metadata.uid = uid;
    return cloneJson(next);
  };
  return operations.modify(resource, target, build, options, { isApply: true });
}
