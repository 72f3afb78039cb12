import { randomUUID } from 'node:crypto';
import {
  type WebhookClient,
  type WebhookClientConfig,
  WebhookCallError,
} from '../admission/webhook/client.js';
import { ApiError } from '../api-error.js';
import { cloneJson, equalJson, isObject, type Json, objectOf, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { apiVersionOf } from '#base/kube/resource.js';
import type { AsyncConversion } from '../registry/resource.js';
import { applyDefaults } from '../schema/defaults.js';
import { prune } from '../schema/prune.js';
import type { Schema } from '../schema/schema.js';

const reviewVersion = 'apiextensions.k8s.io/v1';
const timeoutMs = 30_000;
/** Objects sent to a webhook at once. */
const batchMax = 500;

/** One version of a custom resource whose versions a webhook converts. */
export interface ConvertedVersion {
  readonly group: string;
  readonly kind: string;
  readonly version: string;
  readonly storageVersion: string;
  readonly schema: Schema;
  /** The schema of the storage version: nothing else is kept. */
  readonly storageSchema: Schema;
  readonly webhook: WebhookClientConfig;
}

/** Converts custom resources through the webhook of their definition. */
export class WebhookConversion implements AsyncConversion {
  readonly #at: ConvertedVersion;
  readonly #client: WebhookClient;
  readonly #own: string;
  readonly #storage: string;
  readonly #read: (stored: ApiObject) => ApiObject;
  /** Stored objects as this version shows them. */
  readonly #shown = new WeakMap<ApiObject, ApiObject>();

  constructor(at: ConvertedVersion, client: WebhookClient) {
    this.#at = at;
    this.#client = client;
    this.#read = reading(at);
    this.#own = apiVersionOf(at);
    this.#storage = apiVersionOf({ group: at.group, version: at.storageVersion });
  }

  async prepare(stored: readonly ApiObject[]): Promise<void> {
    const missing = stored.filter((o) => o.apiVersion !== this.#own && !this.#shown.has(o));
    for (let i = 0; i < missing.length; i += batchMax) {
      const batch = missing.slice(i, i + batchMax);
      const converted = await this.#convert(batch.map(this.#read), this.#own);
      converted.forEach((object, j) => {
        const source = batch[j];
        if (source === undefined) return;
        prune(object, this.#at.schema, { isRoot: true });
        this.#shown.set(source, object);
      });
    }
  }

  shown(stored: ApiObject): ApiObject {
    if (stored.apiVersion === this.#own) return this.#read(stored);
    const known = this.#shown.get(stored);
    if (known === undefined) throw this.#failure('the object was not converted');
    return known;
  }

  async toStorage(object: ApiObject): Promise<ApiObject> {
    if (this.#own === this.#storage) return object;
    const [converted] = await this.#convert([object], this.#storage);
    if (converted === undefined) throw this.#failure('no object came back');
    fit(converted, this.#at.storageSchema);
    return converted;
  }

  /** Remembers how an object that was just stored looks in this version. */
  remember(stored: ApiObject, shown: ApiObject): void {
    if (stored.apiVersion === this.#own) return;
    this.#shown.set(stored, { ...shown, metadata: stored.metadata });
  }

  async #convert(objects: readonly ApiObject[], desiredAPIVersion: string): Promise<ApiObject[]> {
    const uid = randomUUID();
    const review = {
      kind: 'ConversionReview',
      apiVersion: reviewVersion,
      request: { uid, desiredAPIVersion, objects: objects.map((o) => cloneJson(o)) },
    };
    let answer: Json;
    try {
      answer = await this.#client.post(this.#at.webhook, review, timeoutMs);
    } catch (error) {
      if (error instanceof WebhookCallError) throw this.#failure(error.message);
      throw error;
    }
    return this.#converted(answer, objects, { uid, desiredAPIVersion });
  }

  #converted(
    answer: Json,
    objects: readonly ApiObject[],
    { uid, desiredAPIVersion }: { readonly uid: string; readonly desiredAPIVersion: string },
  ): ApiObject[] {
    const { apiVersion, kind, response } = objectOf(answer);
    if (apiVersion !== reviewVersion || kind !== 'ConversionReview') {
      throw this.#invalid(
        `expected webhook response of ${reviewVersion}, Kind=ConversionReview, got ${stringOf(apiVersion)}, Kind=${stringOf(kind)}`,
      );
    }
    const { convertedObjects, result, uid: answered } = objectOf(response);
    if (answered !== uid) {
      throw this.#invalid(
        `expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(stringOf(answered))}`,
      );
    }
    const { status, message } = objectOf(result);
    if (status !== 'Success') {
      throw this.#failure(stringOf(message) === '' ? 'no failure message provided' : stringOf(message));
    }
    const converted = Array.isArray(convertedObjects) ? convertedObjects : [];
    if (converted.length !== objects.length) {
      throw this.#invalid(`expected ${objects.length} converted objects, got ${converted.length}`);
    }
    return objects.map((object, i) => this.#checked(converted[i], object, i, desiredAPIVersion));
  }

  /** A converted object; a webhook may change labels and annotations of the metadata, nothing else. */
  #checked(value: Json | undefined, object: ApiObject, i: number, desiredAPIVersion: string): ApiObject {
    const at = `response.convertedObjects[${i}]`;
    if (!isObject(value) || !isObject(value.metadata)) throw this.#invalid(`${at} is no object`);
    if (value.apiVersion !== desiredAPIVersion) {
      throw this.#invalid(
        `invalid groupVersion at ${at}: ${stringOf(value.apiVersion)}, expected ${desiredAPIVersion}`,
      );
    }
    if (value.kind !== object.kind) {
      throw this.#invalid(`invalid kind at ${at}: ${stringOf(value.kind)}, expected ${object.kind}`);
    }
    const { metadata } = value;
    for (const key of ['name', 'namespace', 'uid']) {
      if (!equalJson(metadata[key], object.metadata[key])) {
        throw this.#invalid(
          `invalid metadata at ${at}: mutating ObjectMeta field ${JSON.stringify(key)} is not allowed`,
        );
      }
    }
    const { labels, annotations } = metadata;
    const { labels: _l, annotations: _a, ...kept } = object.metadata;
    return {
      ...value,
      apiVersion: desiredAPIVersion,
      kind: object.kind,
      metadata: {
        ...kept,
        ...(isObject(labels) ? { labels } : {}),
        ...(isObject(annotations) ? { annotations } : {}),
      } as ApiObject['metadata'],
    };
  }

  #failure(why: string): ApiError {
    return this.#error(`failed: ${why}`);
  }

  #invalid(why: string): ApiError {
    return this.#error(`returned invalid response: ${why}`);
  }

  #error(what: string): ApiError {
    const { group, storageVersion, kind } = this.#at;
    const text = `conversion webhook for ${group}/${storageVersion}, Kind=${kind} ${what}`;
    return new ApiError(500, 'InternalError', text);
  }
}

/** Makes an object, in place, one that its schema describes. */
function fit(object: ApiObject, schema: Schema): void {
  prune(object, schema, { isRoot: true });
  applyDefaults(object, schema);
}

/**
 * How stored objects are read: by the schema their version has today, which may
 * know other fields and defaults than the one they were written under.
 */
function reading(at: Omit<ConvertedVersion, 'webhook' | 'kind'>): (stored: ApiObject) => ApiObject {
  const schemas = new Map([
    [apiVersionOf({ group: at.group, version: at.storageVersion }), at.storageSchema],
    [apiVersionOf(at), at.schema],
  ]);
  const read = new WeakMap<ApiObject, ApiObject>();
  return (stored) => {
    const known = read.get(stored);
    if (known !== undefined) return known;
    const schema = schemas.get(stored.apiVersion);
    if (schema === undefined) return stored;
    const draft = cloneJson(stored);
    fit(draft, schema);
    const object = equalJson(draft, stored) ? stored : draft;
    read.set(stored, object);
    return object;
  };
}

/**
 * Conversion between versions that differ in nothing but their schema. What is
 * stored is what the storage version knows; another version shows the part of
 * it that it knows too.
 */
export function schemaConversion(at: Omit<ConvertedVersion, 'webhook' | 'kind'>): {
  fromStorage(stored: ApiObject): ApiObject;
  toStorage(object: ApiObject): ApiObject;
} {
  const own = apiVersionOf(at);
  const storage = apiVersionOf({ group: at.group, version: at.storageVersion });
  const shown = new WeakMap<ApiObject, ApiObject>();
  const read = reading(at);
  return {
    fromStorage: (stored) => {
      if (stored.apiVersion === own) return read(stored);
      let object = shown.get(stored);
      if (object === undefined) {
        object = { ...cloneJson(read(stored)), apiVersion: own };
        prune(object, at.schema, { isRoot: true });
        shown.set(stored, object);
      }
      return object;
    },
    toStorage: (object) => {
      if (object.apiVersion === storage) return object;
      const stored = { ...cloneJson(object), apiVersion: storage };
      fit(stored, at.storageSchema);
      return stored;
    },
  };
}
