import { randomUUID } from 'node:crypto';
import type { AdmissionChain, AdmissionRequest, BodyType } from '../admission/admission.js';
import type { UserInfo } from '../auth/user.js';
import { apiError, ApiError } from '../http/api-error.js';
import { cloneJson, equalJson, isObject, type Json, type JsonObject, numberOf } from '../json.js';
import { applyConfiguration, recordUpdate } from '../managed-fields/managers.js';
import { apiVersionOf, type KubeObject, type ObjectMeta, timestamp } from '../object.js';
import { applyDefaults } from '../schema/defaults.js';
import { prune } from '../schema/prune.js';
import { toWireForm } from '../schema/wire-form.js';
import { type Store, StoreConflict } from '../storage/store.js';
import { metadataErrors } from './names.js';
import { typeProblem } from './decode.js';
import type { Registry } from './registry.js';
import type { ObjectReader, Resource } from './resource.js';

/** A write without a resourceVersion is retried this often when others keep winning the race. */
const conflictRetriesMax = 10;
const generatedNameAttemptsMax = 8;
const generatedSuffixLength = 5;
const suffixAlphabet = 'bcdfghjklmnpqrstvwxz2456789';

export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

export interface WriteOptions {
  readonly user: UserInfo;
  readonly manager: string;
  readonly isDryRun?: boolean;
  readonly fieldValidation?: FieldValidation;
  /** Filled with texts for Warning headers. */
  readonly warnings?: string[];
  /** '' for the object itself. */
  readonly subresource?: string;
  /** Where the body of a subresource is of another type than the object: how admission sees it. */
  readonly body?: BodyView;
  /** Admission has seen the body already (eviction, binding). */
  readonly isAdmitted?: boolean;
}

/** The object as a subresource of another type shows and writes it, such as Scale. */
export interface BodyView {
  readonly type: BodyType;
  show(object: KubeObject): KubeObject;
  write(object: KubeObject, body: KubeObject): KubeObject;
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground' | undefined;
  readonly preconditions?: {
    readonly uid?: string | undefined;
    readonly resourceVersion?: string | undefined;
  };
}

export interface Target {
  readonly namespace: string | undefined;
  readonly name: string;
}

/** What became of a deletion. */
export interface DeleteResult {
  readonly object: KubeObject;
  /** False while finalizers or a grace period keep the object. */
  readonly isGone: boolean;
}

/** Reads and writes of objects with everything the API promises around them; HTTP and the built-in controllers both come through here. */
export class Operations {
  readonly store: Store;
  readonly registry: Registry;
  readonly reader: ObjectReader;
  readonly #admission: AdmissionChain;

  constructor(deps: { store: Store; registry: Registry; admission: AdmissionChain }) {
    this.store = deps.store;
    this.registry = deps.registry;
    this.#admission = deps.admission;
    this.reader = deps.store;
  }

  /** The object in the resource's version. Throws 404. */
  get(resource: Resource, target: Target): KubeObject {
    const stored = this.store.get(resource.storage, target.namespace, target.name);
    if (stored === undefined) throw apiError.notFound(resource, target.name);
    return present(stored, resource);
  }

  async create(
    resource: Resource,
    namespace: string | undefined,
    body: KubeObject,
    options: WriteOptions,
  ): Promise<KubeObject> {
    const draft = this.decode(resource, namespace, body, options);
    const meta = draft.metadata;
    if (meta.resourceVersion !== '' && meta.resourceVersion !== undefined) {
      throw apiError.badRequest('resourceVersion should not be set on objects to be created');
    }
    const isGenerated = meta.name === '' && typeof meta.generateName === 'string' && meta.generateName !== '';
    for (let attempt = 1; ; attempt++) {
      const candidate = cloneJson(draft);
      if (isGenerated) candidate.metadata.name = generatedName(meta.generateName ?? '');
      try {
        return await this.#createOnce(resource, candidate, options, isGenerated);
      } catch (error) {
        const isTaken = error instanceof ApiError && error.reason === 'AlreadyExists';
        if (!isGenerated || !isTaken || attempt >= generatedNameAttemptsMax) throw error;
      }
    }
  }

  async #createOnce(
    resource: Resource,
    draft: KubeObject,
    options: WriteOptions,
    isNameGenerated: boolean,
  ): Promise<KubeObject> {
    const meta = draft.metadata;
    const applied = meta.managedFields;
    meta.uid = randomUUID();
    meta.creationTimestamp = timestamp();
    delete meta.deletionTimestamp;
    delete meta.deletionGracePeriodSeconds;
    delete meta.generation;
    if (resource.hasGeneration) meta.generation = 1;
    if (resource.hasStatus) delete draft.status;
    this.#default(resource, draft);
    resource.strategy.prepareCreate?.(draft, this.reader);
    const request = this.#admissionRequest('CREATE', resource, draft, undefined, options);
    await this.#admission.admit({ ...request, isNameGenerated });
    this.#default(resource, draft);
    this.#validate(resource, draft, undefined);
    const { storage } = resource;
    if (this.store.get(storage, meta.namespace, meta.name) !== undefined) {
      throw apiError.alreadyExists(resource, meta.name);
    }
    await this.#admission.validate(request);
    if (options.manager !== '' && applied === undefined) {
      recordUpdate(undefined, draft, resource.schema, writer(resource, options));
    }
    this.#admission.commit(request);
    if (options.isDryRun === true) return present({ ...draft }, resource);
    try {
      return present(this.store.create(storage, toStorage(draft, resource)), resource);
    } catch (error) {
      if (error instanceof StoreConflict) throw apiError.alreadyExists(resource, meta.name);
      throw error;
    }
  }

  /** Replaces an object with the body (PUT). */
  async replace(
    resource: Resource,
    target: Target,
    body: KubeObject,
    options: WriteOptions,
  ): Promise<KubeObject> {
    const draft = this.decode(resource, target.namespace, body, options);
    if (draft.metadata.name === '') draft.metadata.name = target.name;
    if (draft.metadata.name !== target.name) {
      throw apiError.badRequest(
        `the name of the object (${draft.metadata.name}) does not match the name on the URL (${target.name})`,
      );
    }
    if (
      resource.createsOnUpdate &&
      this.store.get(resource.storage, target.namespace, target.name) === undefined
    ) {
      return this.create(resource, target.namespace, draft, options);
    }
    return this.modify(resource, target, () => cloneJson(draft), options);
  }

  /** Reads, changes and writes an object; `build` may run again when another writer got in between. */
  async modify(
    resource: Resource,
    target: Target,
    build: (current: KubeObject) => KubeObject,
    options: WriteOptions,
    mode: { readonly isApply?: boolean } = {},
  ): Promise<KubeObject> {
    for (let attempt = 1; ; attempt++) {
      const stored = this.store.get(resource.storage, target.namespace, target.name);
      if (stored === undefined) throw apiError.notFound(resource, target.name);
      const old = present(stored, resource);
      const draft = build(old);
      const wanted = draft.metadata.resourceVersion;
      const isPinned = typeof wanted === 'string' && wanted !== '' && wanted !== old.metadata.resourceVersion;
      if (isPinned) throw apiError.modified(resource, target.name);
      try {
        return await this.#writeOnce(resource, stored, old, draft, options, mode);
      } catch (error) {
        if (!(error instanceof StoreConflict)) throw error;
        if (attempt >= conflictRetriesMax) throw apiError.modified(resource, target.name);
      }
    }
  }

  async #writeOnce(
    resource: Resource,
    stored: KubeObject,
    old: KubeObject,
    draft: KubeObject,
    options: WriteOptions,
    mode: { readonly isApply?: boolean },
  ): Promise<KubeObject> {
    const subresource = options.subresource ?? '';
    const name = old.metadata.name;
    if (
      draft.metadata.uid !== undefined &&
      draft.metadata.uid !== '' &&
      draft.metadata.uid !== old.metadata.uid
    ) {
      throw apiError.conflict(
        resource,
        name,
        `Precondition failed: UID in precondition: ${draft.metadata.uid}, UID in object meta: ${old.metadata.uid}`,
      );
    }
    let next = this.#merge(resource, old, draft, subresource);
    restoreSystemMetadata(next.metadata, old.metadata);
    this.#default(resource, next);
    if (subresource === '') resource.strategy.prepareUpdate?.(next, old, this.reader);
    next = await this.#admitUpdate(resource, next, old, options);
    this.#default(resource, next);
    if (resource.hasGeneration && subresource !== 'status') {
      next.metadata.generation = (old.metadata.generation ?? 1) + (isSpecEqual(old, next) ? 0 : 1);
    }
    this.#validate(resource, next, old);
    if (options.isAdmitted !== true) {
      const { body } = options;
      const seen = body === undefined ? next : body.show(next);
      const before = body === undefined ? old : body.show(old);
      await this.#admission.validate(this.#admissionRequest('UPDATE', resource, seen, before, options));
    }
    if (mode.isApply !== true && options.manager !== '') {
      recordUpdate(old, next, resource.schema, writer(resource, options));
    }
    if (options.isAdmitted !== true) {
      this.#admission.commit(this.#admissionRequest('UPDATE', resource, next, old, options));
    }
    next = toStorage(next, resource);
    if (options.isDryRun === true) return present(next, resource);
    if (isReadyToGo(next)) {
      return present(this.store.delete(resource.storage, next, stored), resource);
    }
    if (equalApart(stored, next)) return present(stored, resource);
    return present(this.store.update(resource.storage, next, stored), resource);
  }

  /** Server-side apply; creates the object when it is missing. */
  async apply(
    resource: Resource,
    target: Target,
    body: KubeObject,
    options: WriteOptions & { readonly isForced: boolean },
  ): Promise<KubeObject> {
    const applied = this.decode(resource, target.namespace, body, options);
    applied.metadata.name = target.name;
    if ((body.metadata.managedFields?.length ?? 0) > 0) {
      throw apiError.badRequest('metadata.managedFields must be nil');
    }
    const subresource = options.subresource ?? '';
    const config = configFor(applied, resource, subresource);
    const who = writer(resource, options);
    const exists = (): boolean =>
      this.store.get(resource.storage, target.namespace, target.name) !== undefined;
    if (!exists()) {
      if (subresource !== '') throw apiError.notFound(resource, target.name);
      const created = applyConfiguration({
        live: undefined,
        applied: config,
        schema: resource.schema,
        who,
        force: options.isForced,
      });
      return this.create(resource, target.namespace, created, options);
    }
    const pinned = applied.metadata.resourceVersion;
    return this.modify(
      resource,
      target,
      (live) => {
        const next = applyConfiguration({
          live,
          applied: config,
          schema: resource.schema,
          who,
          force: options.isForced,
        });
        if (typeof pinned === 'string' && pinned !== '') next.metadata.resourceVersion = pinned;
        return cloneJson(next);
      },
      options,
      { isApply: true },
    );
  }

  /** Deletes, or begins to delete, an object. */
  async delete(
    resource: Resource,
    target: Target,
    request: DeleteOptions,
    options: WriteOptions,
  ): Promise<DeleteResult> {
    for (let attempt = 1; ; attempt++) {
      const stored = this.store.get(resource.storage, target.namespace, target.name);
      if (stored === undefined) throw apiError.notFound(resource, target.name);
      checkPreconditions(resource, stored, request);
      const old = present(stored, resource);
      if (options.isAdmitted !== true) {
        const admission = {
          ...this.#admissionRequest('DELETE', resource, old, old, options),
          options: deleteOptionsJson(request),
        };
        await this.#admission.admit(admission);
        await this.#admission.validate(admission);
      }
      const next = markDeleted(resource, stored, request);
      if (options.isDryRun === true) return { object: present(next, resource), isGone: isReadyToGo(next) };
      try {
        if (isReadyToGo(next)) {
          return {
            object: present(this.store.delete(resource.storage, next, stored), resource),
            isGone: true,
          };
        }
        const isSame = equalApart(stored, next);
        const kept = isSame ? stored : this.store.update(resource.storage, next, stored);
        return { object: present(kept, resource), isGone: false };
      } catch (error) {
        if (!(error instanceof StoreConflict) || attempt >= conflictRetriesMax) throw error;
      }
    }
  }

  /** Checks a body against the resource and the path, and drops what the schema does not know. */
  decode(
    resource: Resource,
    namespace: string | undefined,
    body: KubeObject,
    options: WriteOptions,
  ): KubeObject {
    const draft = cloneJson(body);
    if (resource.namespaced) {
      const own = draft.metadata.namespace;
      if (own !== undefined && own !== '' && own !== namespace) {
        throw apiError.badRequest(
          'the namespace of the provided object does not match the namespace sent on the request',
        );
      }
      if (namespace !== undefined) draft.metadata.namespace = namespace;
    } else delete draft.metadata.namespace;
    const problem = resource.isCustom ? undefined : typeProblem(draft, resource.schema);
    if (problem !== undefined) {
      throw apiError.badRequest(
        `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: ${problem}`,
      );
    }
    const unknown = prune(draft, resource.schema, { isRoot: true });
    toStoredForm(draft, resource);
    if (unknown.length > 0 && options.fieldValidation !== 'Ignore') {
      const texts = unknown.map((f) => `unknown field "${f}"`);
      if (options.fieldValidation === 'Strict') {
        throw apiError.badRequest(
          `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: strict decoding error: ${texts.join(', ')}`,
        );
      }
      if (options.fieldValidation === 'Warn') options.warnings?.push(...texts);
    }
    return draft;
  }

  /**
   * Takes a body that is not stored itself (eviction, binding, exec options)
   * through admission; what comes back may have been changed by it.
   */
  async admitBody(
    operation: 'CREATE' | 'CONNECT',
    resource: Resource,
    target: Target,
    body: { readonly type: BodyType; readonly object: KubeObject },
    options: WriteOptions,
  ): Promise<KubeObject> {
    const request: AdmissionRequest = {
      operation,
      resource,
      object: cloneJson(body.object),
      old: undefined,
      bodyType: body.type,
      target,
      ...options,
      options: writeOptionsJson(options),
    };
    await this.#admission.admit(request);
    await this.#admission.validate(request);
    return request.object;
  }

  async #admitUpdate(
    resource: Resource,
    next: KubeObject,
    old: KubeObject,
    options: WriteOptions,
  ): Promise<KubeObject> {
    if (options.isAdmitted === true) return next;
    const { body } = options;
    if (body === undefined) {
      await this.#admission.admit(this.#admissionRequest('UPDATE', resource, next, old, options));
      return next;
    }
    const shown = body.show(next);
    const before = cloneJson(shown);
    await this.#admission.admit(this.#admissionRequest('UPDATE', resource, shown, body.show(old), options));
    return equalJson(shown, before) ? next : body.write(next, shown);
  }

  #admissionRequest(
    operation: AdmissionRequest['operation'],
    resource: Resource,
    object: KubeObject,
    old: KubeObject | undefined,
    { body, ...options }: WriteOptions,
  ): AdmissionRequest {
    return {
      operation,
      resource,
      object,
      old,
      ...options,
      options: writeOptionsJson(options),
      ...(body === undefined ? {} : { bodyType: body.type }),
      ...(body === undefined
        ? {
            settle: (changed: KubeObject) => {
              const settled = this.decode(resource, object.metadata.namespace, changed, {
                ...options,
                fieldValidation: 'Ignore',
              });
              this.#default(resource, settled);
              return settled;
            },
          }
        : {}),
    };
  }

  #default(resource: Resource, draft: KubeObject): void {
    if (resource.isCustom) applyDefaults(draft, resource.schema);
    resource.strategy.defaults?.(draft);
    toStoredForm(draft, resource);
  }

  #validate(resource: Resource, next: KubeObject, old: KubeObject | undefined): void {
    const errors = [
      ...metadataErrors(next.metadata, resource),
      ...(resource.strategy.validate?.(next, this.reader) ?? []),
    ];
    // Rules on transitions may assume a well-formed object.
    if (old !== undefined && (errors.length === 0 || !resource.isCustom))
      errors.push(...(resource.strategy.validateUpdate?.(next, old) ?? []));
    if (errors.length > 0) {
      throw apiError.invalid(resource.kind, resource.group, next.metadata.name, errors);
    }
  }

  /** Which parts of a written object count: all but status, or only status. */
  #merge(resource: Resource, old: KubeObject, draft: KubeObject, subresource: string): KubeObject {
    if (subresource === 'status') {
      const metadata = resource.isCustom
        ? {
            ...cloneJson(old.metadata),
            ...(draft.metadata.managedFields === undefined
              ? {}
              : { managedFields: draft.metadata.managedFields }),
          }
        : draft.metadata;
      const next: KubeObject = { ...cloneJson(old), metadata };
      if (draft.status === undefined) delete next.status;
      else next.status = draft.status;
      return next;
    }
    if (resource.hasStatus && subresource === '') {
      const next: KubeObject = { ...draft };
      if (old.status === undefined) delete next.status;
      else next.status = cloneJson(old.status);
      return next;
    }
    return draft;
  }
}

function writeOptionsJson({ manager, fieldValidation }: WriteOptions): JsonObject {
  return {
    ...(manager === '' ? {} : { fieldManager: manager }),
    ...(fieldValidation === undefined ? {} : { fieldValidation }),
  };
}

function deleteOptionsJson({
  gracePeriodSeconds,
  propagationPolicy,
  preconditions,
}: DeleteOptions): JsonObject {
  return {
    ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }),
    ...(propagationPolicy === undefined ? {} : { propagationPolicy }),
    ...(preconditions === undefined ? {} : { preconditions: { ...preconditions } }),
  };
}

function writer(resource: Resource, options: WriteOptions) {
  return {
    manager: options.manager,
    apiVersion: apiVersionOf(resource.group, resource.version),
    subresource: options.subresource ?? '',
  };
}

/** Built-in kinds have one form on the wire. */
function toStoredForm(draft: KubeObject, resource: Resource): void {
  if (resource.isCustom) return;
  toWireForm(draft, resource.schema);
  // Left out on the wire when empty, but everything here reads it.
  draft.metadata.name ??= '';
}

/** The stored object as the resource's version shows it. */
export function present(stored: KubeObject, resource: Resource): KubeObject {
  if (resource.convert !== undefined) return resource.convert.fromStorage(stored);
  const apiVersion = apiVersionOf(resource.group, resource.version);
  return stored.apiVersion === apiVersion && stored.kind === resource.kind
    ? stored
    : { ...stored, apiVersion, kind: resource.kind };
}

function toStorage(object: KubeObject, resource: Resource): KubeObject {
  return resource.convert === undefined ? object : resource.convert.toStorage(object);
}

function generatedName(prefix: string): string {
  let suffix = '';
  const bytes = randomUUID().replaceAll('-', '');
  for (let i = 0; i < generatedSuffixLength; i++) {
    const at = Number.parseInt(bytes.slice(i * 2, i * 2 + 2), 16) % suffixAlphabet.length;
    suffix += suffixAlphabet[at] ?? 'x';
  }
  return prefix.slice(0, 63 - generatedSuffixLength) + suffix;
}

function restoreSystemMetadata(next: ObjectMeta, old: ObjectMeta): void {
  next.uid = old.uid;
  next.name = old.name;
  next.creationTimestamp = old.creationTimestamp;
  next.resourceVersion = old.resourceVersion;
  if (old.namespace !== undefined) next.namespace = old.namespace;
  for (const key of [
    'generation',
    'deletionTimestamp',
    'deletionGracePeriodSeconds',
    'generateName',
  ] as const) {
    if (old[key] === undefined) delete next[key];
    else (next as JsonObject)[key] = old[key];
  }
  for (const key of ['labels', 'annotations', 'finalizers', 'ownerReferences'] as const) {
    const value: Json | undefined = next[key];
    const isBlank =
      value === null ||
      (Array.isArray(value) ? value.length === 0 : isObject(value) && Object.keys(value).length === 0);
    if (isBlank) delete next[key];
  }
}

function isSpecEqual(a: KubeObject, b: KubeObject): boolean {
  const strip = ({ metadata: _m, status: _s, apiVersion: _a, kind: _k, ...rest }: KubeObject): JsonObject =>
    rest;
  return equalJson(strip(a), strip(b));
}

/** Equal but for the bookkeeping that alone must not cause a new version. */
function equalApart(a: KubeObject, b: KubeObject): boolean {
  const strip = (o: KubeObject): JsonObject => {
    const { resourceVersion: _r, managedFields, ...meta } = o.metadata;
    const owners = (managedFields ?? []).map(({ time: _t, ...entry }) => entry);
    return { ...o, metadata: { ...meta, managedFields: owners } };
  };
  return equalJson(strip(a), strip(b));
}

/** Marked for deletion with nothing left to wait for. */
function isReadyToGo(object: KubeObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds, finalizers } = object.metadata;
  if (deletionTimestamp === undefined) return false;
  if ((deletionGracePeriodSeconds ?? 0) > 0 || (finalizers?.length ?? 0) > 0) return false;
  const spec = object.kind === 'Namespace' && isObject(object.spec) ? object.spec : {};
  return !(Array.isArray(spec.finalizers) && spec.finalizers.length > 0);
}

function checkPreconditions(resource: Resource, stored: KubeObject, request: DeleteOptions): void {
  const { uid, resourceVersion } = request.preconditions ?? {};
  const { metadata } = stored;
  if (uid !== undefined && uid !== metadata.uid) {
    throw apiError.conflict(
      resource,
      metadata.name,
      `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${metadata.uid}`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw apiError.conflict(
      resource,
      metadata.name,
      `Precondition failed: ResourceVersion in precondition: ${resourceVersion}, ResourceVersion in object meta: ${metadata.resourceVersion}`,
    );
  }
}

/** The seconds a pod may take to stop; 0 for everything else and for pods that never ran. */
function gracePeriod(stored: KubeObject, request: DeleteOptions): number {
  if (stored.kind !== 'Pod' || stored.apiVersion !== 'v1') return 0;
  const spec = isObject(stored.spec) ? stored.spec : {};
  const phase = isObject(stored.status) ? stored.status.phase : undefined;
  if (spec.nodeName === undefined || spec.nodeName === '' || phase === 'Succeeded' || phase === 'Failed')
    return 0;
  const asked = request.gracePeriodSeconds ?? numberOf(spec.terminationGracePeriodSeconds) ?? 30;
  return Math.max(0, asked);
}

function markDeleted(resource: Resource, stored: KubeObject, request: DeleteOptions): KubeObject {
  const next = cloneJson(stored);
  const meta = next.metadata;
  const grace = gracePeriod(stored, request);
  const before = meta.deletionGracePeriodSeconds;
  if (meta.deletionTimestamp === undefined || before === undefined || grace < before) {
    // A later request may shorten the grace period, never extend it.
    meta.deletionTimestamp = timestamp(new Date(Date.now() + grace * 1000));
    meta.deletionGracePeriodSeconds = grace;
    if (resource.hasGeneration && stored.metadata.deletionTimestamp === undefined) {
      meta.generation = (meta.generation ?? 1) + 1;
    }
  }
  const finalizers = new Set(meta.finalizers ?? []);
  if (request.propagationPolicy === 'Foreground') {
    finalizers.delete('orphan');
    finalizers.add('foregroundDeletion');
  } else if (request.propagationPolicy === 'Orphan') {
    finalizers.delete('foregroundDeletion');
    finalizers.add('orphan');
  } else if (request.propagationPolicy === 'Background') {
    finalizers.delete('foregroundDeletion');
    finalizers.delete('orphan');
  }
  if (finalizers.size > 0) meta.finalizers = [...finalizers];
  else delete meta.finalizers;
  if (next.kind === 'Namespace' && next.apiVersion === 'v1')
    next.status = { ...(isObject(next.status) ? next.status : {}), phase: 'Terminating' };
  return next;
}

/** An applied configuration without the part that its endpoint does not write. */
function configFor(applied: KubeObject, resource: Resource, subresource: string): KubeObject {
  if (subresource === 'status') {
    const { apiVersion, kind, metadata, status } = applied;
    return { apiVersion, kind, metadata, ...(status === undefined ? {} : { status }) };
  }
  if (!resource.hasStatus) return applied;
  const { status: _status, ...rest } = applied;
  return rest as KubeObject;
}
