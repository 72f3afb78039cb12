import type { FieldError } from '../api-error.js';
import type { Json, JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { Schema } from '../schema/schema.js';

/** Looks at other objects while one is being admitted. */
export interface ObjectReader {
  get(resource: string, namespace: string | undefined, name: string): ApiObject | undefined;
  list(resource: string, namespace?: string): readonly ApiObject[];
}

/** Metadata that a write of the status could change, and for some kinds must not. */
export type KeptByStatus = 'labels' | 'annotations' | 'finalizers' | 'ownerReferences';

/** All of it. */
export const allMetadata: readonly KeptByStatus[] = [
  'labels',
  'annotations',
  'finalizers',
  'ownerReferences',
];

/** What is particular about one kind. Drafts may be changed in place; `old` never. */
export interface Strategy {
  /** Sets default values; runs on every write, must be idempotent. */
  readonly defaults?: (draft: ApiObject) => void;
  /** Last changes before validation on create. */
  readonly prepareCreate?: (draft: ApiObject, reader: ObjectReader) => void;
  /** Last changes before validation on update of the object itself (not its status). */
  readonly prepareUpdate?: (draft: ApiObject, old: ApiObject, reader: ObjectReader) => void;
  readonly validate?: (object: ApiObject, reader: ObjectReader) => FieldError[];
  /** Runs in addition to validate; may leave texts for Warning headers. */
  readonly validateUpdate?: (object: ApiObject, old: ApiObject, warnings?: string[]) => FieldError[];
  /** Runs instead of the two above when only the status is written; custom resources have no such rule. */
  readonly validateStatus?: (object: ApiObject, old: ApiObject) => FieldError[];
  /** Metadata that writes of the status leave as it is; by default they may change it. */
  readonly keptByStatus?: readonly KeptByStatus[];
}

/** A column of server-side printing. */
export interface Column {
  readonly name: string;
  readonly type?: 'string' | 'integer' | 'date' | 'boolean' | 'number';
  readonly format?: string;
  readonly description?: string;
  /** 0: always shown; 1: only with -o wide. */
  readonly priority?: number;
  readonly cell: (object: ApiObject) => Json;
}

/** How the scale subresource reads and writes the object. */
export interface ScaleMapping {
  readonly specReplicas: readonly string[];
  readonly statusReplicas: readonly string[];
  /** The selector in its query form; '' when the kind has none. */
  readonly selector: (object: ApiObject) => string;
}

/** How names are checked. */
export type NameRule = 'subdomain' | 'label' | 'label1035' | 'path';

/** Conversion between versions that has to be waited for: a webhook does it. */
export interface AsyncConversion {
  /** Resolves when `shown` can show these stored objects. */
  prepare(stored: readonly ApiObject[]): Promise<void>;
  /** A stored object in this version. Throws when it was not prepared. */
  shown(stored: ApiObject): ApiObject;
  /** An object of this version as it is stored. */
  toStorage(object: ApiObject): Promise<ApiObject>;
  /** Tells how an object that was just stored looks in this version. */
  remember(stored: ApiObject, shown: ApiObject): void;
}

/** One served version of one resource: a row of the table that the whole server is driven by. */
export interface ServedResource {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly singular: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  /** The key of the objects in the store; versions of a resource share it. */
  readonly storage: string;
  /** The apiVersion in which objects are stored, when not the resource's own. */
  readonly storageVersion?: string;
  readonly schema: Schema;
  readonly strategy: Strategy;
  readonly nameRule: NameRule;
  /** Whether spec changes count in metadata.generation. */
  readonly hasGeneration: boolean;
  readonly hasStatus: boolean;
  readonly scale?: ScaleMapping;
  /** Further subresources by name, with the verbs discovery shows. */
  readonly subresources: Readonly<Record<string, SubresourceInfo>>;
  readonly columns: readonly Column[];
  /** Fields that field selectors may name, besides metadata.name and metadata.namespace. */
  readonly selectableFields: readonly string[];
  /** Custom resources differ: no strategic patch, metadata untouched by status writes, schema validation. */
  readonly isCustom: boolean;
  /** Its definition is being deleted: nothing new is created. */
  readonly isTerminating?: boolean;
  /** PUT of a missing object creates it. */
  readonly createsOnUpdate: boolean;
  /** PUT without a resourceVersion is refused. */
  readonly needsVersionOnUpdate?: boolean;
  /** From the stored form to this version, and back; absent when only apiVersion differs. */
  readonly convert?: { fromStorage(o: ApiObject): ApiObject; toStorage(o: ApiObject): ApiObject };
  /** Instead of `convert`, where versions are converted by a webhook. */
  readonly conversion?: AsyncConversion;
  readonly deprecationWarning?: string;
  /** A deletion that names no policy leaves the dependents; clients may be warned of it. */
  readonly orphansByDefault?: { readonly warning?: string };
  /** Set when only these verbs exist (reviews are only created). */
  readonly verbs?: readonly string[];
}

export interface SubresourceInfo {
  readonly kind: string;
  readonly group?: string;
  readonly version?: string;
  readonly verbs: readonly string[];
}

/** The verbs of an ordinary resource, in discovery's order. */
export const standardVerbs: readonly string[] = [
  'create',
  'delete',
  'deletecollection',
  'get',
  'list',
  'patch',
  'update',
  'watch',
];

/** Shorthand for reading `spec` and `status` of drafts. */
export function specOf(object: ApiObject): JsonObject {
  const { spec } = object;
  if (typeof spec === 'object' && spec !== null && !Array.isArray(spec)) return spec as JsonObject;
  const created: JsonObject = {};
  object.spec = created;
  return created;
}
