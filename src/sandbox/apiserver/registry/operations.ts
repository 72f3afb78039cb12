import { randomUUID } from 'node:crypto';
import type { AdmissionChain, BodyType } from './admission.js';
import { ApiError, apiError } from '../api-error.js';
import { cloneJson } from '../../base/json.js';
import { recordUpdate } from '../managed-fields/record-update.js';
import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import { type Store, StoreConflict } from '../storage/store.js';
import { Holds } from './holds.js';
import { applyObject } from './apply-object.js';
import { AdmissionGate } from './admission-gate.js';
import { decodeObject } from './decode.js';
import { checkPreconditions, isReadyToGo, markDeleted } from './deletion.js';
import { generatedName } from './generated-name.js';
import {
  addedFinalizers,
  assertNamed,
  assertNotDeleted,
  assertSameUid,
  assertVersioned,
  isVersioned,
} from './identity.js';
import { metadataErrors } from './metadata.js';
import { preparePresent, present, presentWritten, toStorage } from './present.js';
import type { Registry } from './registry.js';
import type { ObjectReader, ServedResource } from './resource.js';
import { Retries } from './retries.js';
import { setDefaults } from './stored-form.js';
import { dropEmptyCollections, equalApart, isSpecEqual, restoreSystemMetadata } from './system-metadata.js';
import type { DeleteOptions, ModifyMode, Target, WriteOptions, WriteResult } from './write-options.js';
import { writerOf } from './writer.js';
import { mergeWritten } from './written-part.js';

const generatedNameAttemptsMax = 8;

/** What became of a deletion. */
export interface DeleteResult {
  readonly object: ApiObject;
  /** False while finalizers or a grace period keep the object. */
  readonly isGone: boolean;
}

/** Reads and writes of objects with everything the API promises around them; HTTP and the built-in controllers both come through here. */
export class Operations {
  readonly store: Store;
  readonly registry: Registry;
  readonly reader: ObjectReader;
  readonly #admission: AdmissionGate;

  constructor(deps: { store: Store; registry: Registry; admission: AdmissionChain }) {
    this.store = deps.store;
    this.registry = deps.registry;
    this.#admission = new AdmissionGate(deps.admission);
    this.reader = deps.store;
  }

  /** Like `get`, also where a webhook converts versions. Throws 404, and 500 when the webhook fails. */
  async read(resource: ServedResource, target: Target): Promise<ApiObject> {
    const stored = this.store.get(resource.storage, target.namespace, target.name);
    if (stored !== undefined) await preparePresent([stored], resource);
    return this.get(resource, target);
  }

  /** The object in the resource's version. Throws 404. */
  get(resource: ServedResource, target: Target): ApiObject {
    const stored = this.store.get(resource.storage, target.namespace, target.name);
    if (stored === undefined) throw apiError.notFound(resource, target.name);
    return present(stored, resource);
  }

  async create(
    resource: ServedResource,
    namespace: string | undefined,
    body: ApiObject,
    options: WriteOptions,
  ): Promise<ApiObject> {
    const draft = decodeObject(resource, namespace, body, options);
    const meta = draft.metadata;
    const isGenerated = meta.name === '' && typeof meta.generateName === 'string' && meta.generateName !== '';
    for (let attempt = 1; ; attempt++) {
      const candidate = cloneJson(draft);
      if (isGenerated) candidate.metadata.name = generatedName(meta.generateName ?? '');
      try {
        return await this.#createOnce(resource, candidate, options, isGenerated);
      } catch (error) {
        if (!isAlreadyThere(error)) throw error;
        const canRetry = isGenerated && attempt < generatedNameAttemptsMax;
        if (canRetry) continue;
        const isMadeUp = (meta.generateName ?? '') !== '';
        throw isMadeUp ? apiError.noUniqueName(resource, candidate.metadata.name) : error;
      }
    }
  }

  async #createOnce(
    resource: ServedResource,
    draft: ApiObject,
    options: WriteOptions,
    isNameGenerated: boolean,
  ): Promise<ApiObject> {
    const meta = draft.metadata;
    const applied = meta.managedFields;
    meta.uid = randomUUID();
    meta.creationTimestamp = timestamp();
    delete meta.deletionTimestamp;
    delete meta.deletionGracePeriodSeconds;
    delete meta.selfLink;
    dropEmptyCollections(meta);
    if (resource.hasGeneration) meta.generation = 1;
    if (resource.hasStatus) delete draft.status;
    setDefaults(resource, draft);
    // What admission adds belongs to nobody.
    if (options.manager !== '' && applied === undefined) {
      recordUpdate(undefined, draft, resource.schema, writerOf(resource, options), resource);
    }
    resource.strategy.prepareCreate?.(draft, this.reader);
    await this.#admission.admitCreate(resource, draft, options, isNameGenerated);
    setDefaults(resource, draft);
    this.#validate(resource, draft, undefined, { subresource: '', warnings: options.warnings });
    if (resource.isTerminating === true) {
      const detail = 'create not allowed while custom resource definition is terminating';
      throw apiError.forbidden(resource, meta.name, detail);
    }
    const { storage } = resource;
    const holds = new Holds();
    try {
      await this.#admission.validateCreate(resource, draft, options, holds);
      const storable = await toStorage(draft, resource);
      this.#admission.commit('CREATE', resource, draft, undefined, options);
      if (isVersioned(meta) && options.isDryRun !== true) throw apiError.versionOnCreate();
      // As in Kubernetes, what admission says comes first.
      if (this.store.get(storage, meta.namespace, meta.name) !== undefined)
        throw apiError.alreadyExists(resource, meta.name);
      if (options.isDryRun === true) return { ...draft };
      return presentWritten(this.store.create(storage, storable), draft, resource);
    } finally {
      holds.release();
    }
  }

  /** Replaces an object with the body (PUT). */
  async replace(
    resource: ServedResource,
    target: Target,
    body: ApiObject,
    options: WriteOptions,
  ): Promise<WriteResult> {
    const draft = decodeObject(resource, target.namespace, body, options);
    assertNamed(draft, target.name);
    const retries = new Retries();
    for (;;) {
      const isThere = this.store.get(resource.storage, target.namespace, target.name) !== undefined;
      const creates = resource.createsOnUpdate && !isThere;
      try {
        if (creates)
          return { object: await this.create(resource, target.namespace, draft, options), isNew: true };
        if (isThere) assertVersioned(resource, draft);
        const build = (): ApiObject => cloneJson(draft);
        const object = await this.modify(resource, target, build, options, { isReplacement: true });
        return { object, isNew: false };
      } catch (error) {
        // Somebody else created it in between.
        if (!creates || !isAlreadyThere(error)) throw error;
        retries.next();
      }
    }
  }

  /** Reads, changes and writes an object; `build` may run again when another writer got in between. */
  async modify(
    resource: ServedResource,
    target: Target,
    build: (current: ApiObject) => ApiObject,
    options: WriteOptions,
    mode: ModifyMode = {},
  ): Promise<ApiObject> {
    const retries = new Retries();
    for (;;) {
      const stored = this.store.get(resource.storage, target.namespace, target.name);
      if (stored === undefined) throw apiError.notFound(resource, target.name);
      await preparePresent([stored], resource);
      const old = present(stored, resource);
      const draft = build(old);
      const isOther = draft.metadata.resourceVersion !== old.metadata.resourceVersion;
      if (isVersioned(draft.metadata) && isOther) throw apiError.modified(resource, target.name);
      try {
        return await this.#writeOnce(resource, stored, old, draft, options, mode);
      } catch (error) {
        if (!(error instanceof StoreConflict)) throw error;
        retries.next();
      }
    }
  }

  async #writeOnce(
    resource: ServedResource,
    stored: ApiObject,
    old: ApiObject,
    draft: ApiObject,
    options: WriteOptions,
    mode: ModifyMode,
  ): Promise<ApiObject> {
    const subresource = options.subresource ?? '';
    assertSameUid(resource, old, draft, mode.isReplacement === true);
    assertNotDeleted(resource, draft, old);
    let next = mergeWritten(resource, old, draft, subresource);
    restoreSystemMetadata(next.metadata, old.metadata);
    setDefaults(resource, next);
    if (mode.isApply !== true && options.manager !== '') {
      recordUpdate(old, next, resource.schema, writerOf(resource, options), resource);
    }
    if (subresource === '') resource.strategy.prepareUpdate?.(next, old, this.reader);
    next = await this.#admission.admitUpdate(resource, next, old, options);
    setDefaults(resource, next);
    if (resource.hasGeneration && subresource !== 'status') {
      next.metadata.generation = (old.metadata.generation ?? 1) + (isSpecEqual(old, next) ? 0 : 1);
    }
    this.#validate(resource, next, old, { subresource, warnings: options.warnings });
    const holds = new Holds();
    try {
      await this.#admission.validateUpdate(resource, next, old, options, holds);
      const storable = await toStorage(next, resource);
      this.#admission.commit('UPDATE', resource, next, old, options);
      if (options.isDryRun === true) return next;
      if (isReadyToGo(storable)) {
        return presentWritten(this.store.delete(resource.storage, storable, stored), next, resource);
      }
      if (!equalApart(stored, storable))
        return presentWritten(this.store.update(resource.storage, storable, stored), next, resource);
      this.#assertCurrent(resource, stored);
      return present(stored, resource);
    } finally {
      holds.release();
    }
  }

  /** Server-side apply; creates the object when it is missing. */
  apply(
    resource: ServedResource,
    target: Target,
    body: ApiObject,
    options: WriteOptions & { readonly isForced: boolean },
  ): Promise<WriteResult> {
    return applyObject(this, resource, target, body, options);
  }

  /** Deletes, or begins to delete, an object. */
  async delete(
    resource: ServedResource,
    target: Target,
    request: DeleteOptions,
    options: WriteOptions,
  ): Promise<DeleteResult> {
    const retries = new Retries();
    for (;;) {
      const stored = this.store.get(resource.storage, target.namespace, target.name);
      if (stored === undefined) throw apiError.notFound(resource, target.name);
      checkPreconditions(resource, stored, request);
      await preparePresent([stored], resource);
      const old = present(stored, resource);
      await this.#admission.checkDelete(resource, old, request, options);
      const next = markDeleted(resource, stored, request);
      const shown = (kept: ApiObject): ApiObject =>
        presentWritten(kept, { ...old, metadata: kept.metadata }, resource);
      if (options.isDryRun === true) return { object: shown(next), isGone: isReadyToGo(next) };
      try {
        if (isReadyToGo(next)) {
          return {
            object: shown(this.store.delete(resource.storage, next, stored)),
            isGone: true,
          };
        }
        if (!equalApart(stored, next))
          return { object: shown(this.store.update(resource.storage, next, stored)), isGone: false };
        this.#assertCurrent(resource, stored);
        return { object: shown(stored), isGone: false };
      } catch (error) {
        if (!(error instanceof StoreConflict)) throw error;
        retries.next();
      }
    }
  }

  /**
   * Takes a body that is not stored itself (eviction, binding, exec options)
   * through admission; what comes back may have been changed by it.
   */
  admitBody(
    operation: 'CREATE' | 'CONNECT',
    resource: ServedResource,
    target: Target,
    body: { readonly type: BodyType; readonly object: ApiObject },
    options: WriteOptions,
  ): Promise<ApiObject> {
    return this.#admission.admitBody(operation, resource, target, body, options);
  }

  /** A write that changes nothing is made only while what it was computed from is there. Throws StoreConflict. */
  #assertCurrent({ storage, plural }: ServedResource, stored: ApiObject): void {
    const { namespace, name } = stored.metadata;
    if (this.store.get(storage, namespace, name) !== stored)
      throw new StoreConflict(`${plural} ${name} changed`);
  }

  #validate(
    resource: ServedResource,
    next: ApiObject,
    old: ApiObject | undefined,
    write: { readonly subresource: string; readonly warnings: string[] | undefined },
  ): void {
    const { strategy } = resource;
    const errors = metadataErrors(next.metadata, resource);
    if (old !== undefined) errors.push(...addedFinalizers(next, old));
    if (old !== undefined && write.subresource === 'status' && !resource.isCustom) {
      errors.push(...(strategy.validateStatus?.(next, old) ?? []));
    } else {
      errors.push(...(strategy.validate?.(next, this.reader) ?? []));
      // Rules on transitions may assume a well-formed object. A subresource of its
      // own (binding, finalize) may change what the object's own endpoint may not.
      const isWhole = ['', 'scale', 'status'].includes(write.subresource);
      if (old !== undefined && isWhole && (errors.length === 0 || !resource.isCustom))
        errors.push(...(strategy.validateUpdate?.(next, old, write.warnings) ?? []));
    }
    if (errors.length > 0) {
      throw apiError.invalid(resource.kind, resource.group, next.metadata.name, errors);
    }
  }
}

function isAlreadyThere(error: unknown): boolean {
  return error instanceof ApiError && error.reason === 'AlreadyExists';
}
