import type { AdmissionChain, AdmissionRequest, BodyType } from './admission.js';
import type { Holds } from './holds.js';
import { cloneJson, equalJson, type JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { decodeObject } from './decode.js';
import { setDefaults } from './stored-form.js';
import type { ServedResource } from './resource.js';
import type { DeleteOptions, Target, WriteOptions } from './write-options.js';

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

/** Takes writes through admission in the form in which admission sees them. */
export class AdmissionGate {
  readonly #chain: AdmissionChain;

  constructor(chain: AdmissionChain) {
    this.#chain = chain;
  }

  /** The mutating steps of a creation. */
  async admitCreate(
    resource: ServedResource,
    object: ApiObject,
    options: WriteOptions,
    isNameGenerated: boolean,
  ): Promise<void> {
    await this.#chain.admit({
      ...requestOf('CREATE', resource, object, undefined, options),
      isNameGenerated,
    });
  }

  async validateCreate(
    resource: ServedResource,
    object: ApiObject,
    options: WriteOptions,
    holds: Holds,
  ): Promise<void> {
    await this.#chain.validate({ ...requestOf('CREATE', resource, object, undefined, options), holds });
  }

  /** The mutating steps of an update; returns the object they leave. */
  async admitUpdate(
    resource: ServedResource,
    next: ApiObject,
    old: ApiObject,
    options: WriteOptions,
  ): Promise<ApiObject> {
    if (options.isAdmitted === true) return next;
    const { body } = options;
    if (body === undefined) {
      await this.#chain.admit(requestOf('UPDATE', resource, next, old, options));
      return next;
    }
    const shown = body.show(next);
    const before = cloneJson(shown);
    await this.#chain.admit(requestOf('UPDATE', resource, shown, body.show(old), options));
    return equalJson(shown, before) ? next : body.write(next, shown);
  }

  async validateUpdate(
    resource: ServedResource,
    next: ApiObject,
    old: ApiObject,
    options: WriteOptions,
    holds: Holds,
  ): Promise<void> {
    if (options.isAdmitted === true) return;
    const { body } = options;
    const seen = body === undefined ? next : body.show(next);
    const before = body === undefined ? old : body.show(old);
    await this.#chain.validate({ ...requestOf('UPDATE', resource, seen, before, options), holds });
  }

  /** The checks that belong to the write itself, in the same turn. */
  commit(
    operation: 'CREATE' | 'UPDATE',
    resource: ServedResource,
    object: ApiObject,
    old: ApiObject | undefined,
    options: WriteOptions,
  ): void {
    if (options.isAdmitted === true) return;
    this.#chain.commit(requestOf(operation, resource, object, old, options));
  }

  /** All steps of a deletion. */
  async checkDelete(
    resource: ServedResource,
    old: ApiObject,
    request: DeleteOptions,
    options: WriteOptions,
  ): Promise<void> {
    if (options.isAdmitted === true) return;
    const admission = {
      ...requestOf('DELETE', resource, old, old, options),
      options: deleteOptionsJson(request),
    };
    await this.#chain.admit(admission);
    await this.#chain.validate(admission);
  }

  /**
   * Takes a body that is not stored itself (eviction, binding, exec options)
   * through admission; what comes back may have been changed by it.
   */
  async admitBody(
    operation: 'CREATE' | 'CONNECT',
    resource: ServedResource,
    target: Target,
    body: { readonly type: BodyType; readonly object: ApiObject },
    options: WriteOptions,
  ): Promise<ApiObject> {
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
    await this.#chain.admit(request);
    await this.#chain.validate(request);
    return request.object;
  }
}

function requestOf(
  operation: AdmissionRequest['operation'],
  resource: ServedResource,
  object: ApiObject,
  old: ApiObject | undefined,
  { body, ...options }: WriteOptions,
): AdmissionRequest {
  const settle = (changed: ApiObject): ApiObject => {
    const settled = decodeObject(resource, object.metadata.namespace, changed, {
      ...options,
      fieldValidation: 'Ignore',
    });
    setDefaults(resource, settled);
    return settled;
  };
  return {
    operation,
    resource,
    object,
    old,
    ...options,
    options: writeOptionsJson(options),
    ...(body === undefined ? { settle } : { bodyType: body.type }),
  };
}
