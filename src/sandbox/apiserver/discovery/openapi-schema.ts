import { type Json, type JsonObject, objectOf } from '../../base/json.js';
import type { ServedResource } from '../registry/resource.js';
import { builtinSchemas } from '../schema/builtin-schema.js';
import type { Schema } from '../schema/schema.js';
import { describeField, describeType, rootFields } from './descriptions.js';

const metaPrefix = 'io.k8s.apimachinery.pkg.apis.meta.v1.';
const objectMeta = builtinSchemas.get('apimachinery.pkg.apis.meta.v1.ObjectMeta');

/** The two OpenAPI dialects, which say the same in different places. */
export type Dialect = 'v2' | 'v3';

const prefixes = { v2: '#/definitions/', v3: '#/components/schemas/' } as const;

/** What a schema may say of its value besides its type and its parts. */
const plainKeys = [
  'pattern',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'minItems',
  'maxItems',
  'minProperties',
  'maxProperties',
  'uniqueItems',
] as const;

/** Types without fields of their own. */
const scalarDefinitions: Readonly<Record<string, Readonly<Record<Dialect, JsonObject>>>> = {
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': {
    v2: { type: 'string', format: 'int-or-string' },
    v3: { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] },
  },
  'io.k8s.apimachinery.pkg.api.resource.Quantity': {
    v2: { type: 'string' },
    v3: { oneOf: [{ type: 'string' }, { type: 'number' }] },
  },
  [`${metaPrefix}Time`]: {
    v2: { type: 'string', format: 'date-time' },
    v3: { type: 'string', format: 'date-time' },
  },
  [`${metaPrefix}MicroTime`]: {
    v2: { type: 'string', format: 'date-time' },
    v3: { type: 'string', format: 'date-time' },
  },
};

/** Collects the named schemas that a set of resources refers to. */
export class ComponentSchemas {
  readonly #dialect: Dialect;
  readonly #components = new Map<string, JsonObject>();
  readonly #pending: string[] = [];

  constructor(dialect: Dialect) {
    this.#dialect = dialect;
  }

  /** Adds a resource's own schema; returns the reference to it. */
  root(r: ServedResource): string {
    const name = rootName(r);
    // Readers of OpenAPI 2 take named properties for all there may be.
    const isOpen = r.isCustom && this.#dialect === 'v2' && r.schema.preservesUnknown === true;
    const body: JsonObject = isOpen ? { type: 'object' } : this.#definition(r.schema, !r.isCustom);
    const own = objectOf(body.properties);
    if (!isOpen && (r.isCustom || own.metadata !== undefined)) {
      body.properties = {
        ...own,
        apiVersion: { type: 'string', description: rootFields.apiVersion },
        kind: { type: 'string', description: rootFields.kind },
        metadata: r.isCustom
          ? this.#value(objectMeta, { description: rootFields.metadata })
          : { ...objectOf(own.metadata), description: rootFields.metadata },
      };
      body.type = 'object';
    }
    body['x-kubernetes-group-version-kind'] = [{ group: r.group, version: r.version, kind: r.kind }];
    if (r.isCustom)
      body['x-kubernetes-selectable-fields'] = r.selectableFields.map((fieldPath) => ({ fieldPath }));
    this.#components.set(name, body);
    return `${prefixes[this.#dialect]}${name}`;
  }

  /** Adds the list of a resource's objects; returns the reference to it. */
  list(r: ServedResource): string {
    const name = `${rootName(r)}List`;
    this.#components.set(name, {
      type: 'object',
      required: ['items'],
      properties: {
        apiVersion: { type: 'string' },
        kind: { type: 'string' },
        items: {
          type: 'array',
          items: this.#reference(rootName(r), this.#dialect === 'v3' ? { default: {} } : {}),
        },
        metadata: this.#value({
          ...builtinSchemas.get('apimachinery.pkg.apis.meta.v1.ListMeta'),
          presence: 'always',
        }),
      },
      'x-kubernetes-group-version-kind': [{ group: r.group, version: r.version, kind: `${r.kind}List` }],
    });
    return `${prefixes[this.#dialect]}${name}`;
  }

  /** Adds a built-in type by its published name without `io.k8s.`; returns the reference to it. */
  type(name: string): string {
    this.#pending.push(`io.k8s.${name}`);
    return `${prefixes[this.#dialect]}io.k8s.${name}`;
  }

  /** Everything collected, with what it refers to. */
  components(): JsonObject {
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      if (this.#components.has(next)) continue;
      const scalar = scalarDefinitions[next]?.[this.#dialect];
      if (scalar !== undefined) {
        this.#components.set(next, { ...scalar });
        continue;
      }
      // Reserved before converting: types may contain themselves.
      this.#components.set(next, {});
      this.#components.set(next, this.#definition(builtinSchemas.get(next.replace(/^io\.k8s\./, '')), true));
    }
    return Object.fromEntries([...this.#components].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** A reference; what is said next to it goes into an allOf in OpenAPI 3, where references have no siblings. */
  #reference(name: string, extras: JsonObject): JsonObject {
    const ref = { $ref: `${prefixes[this.#dialect]}${name}` };
    if (this.#dialect === 'v2' || Object.keys(extras).length === 0) return { ...extras, ...ref };
    return { ...extras, allOf: [ref] };
  }

  /** What a field, an item or a map entry holds. */
  #value(schema: Schema, extras: JsonObject = {}, isBuiltin = true): JsonObject {
    if (schema.name === undefined) return { ...extras, ...this.#definition(schema, isBuiltin) };
    this.#pending.push(schema.name);
    const isStruct = schema.type === 'object';
    const hasDefault = this.#dialect === 'v3' && isStruct && schema.presence === 'always';
    return this.#reference(schema.name, {
      ...extras,
      ...(hasDefault ? { default: {} } : {}),
      ...mergeExtensions({ ...schema, isAtomicMap: false }),
    });
  }

  /** Items and map entries: always there, hence with the zero of their type. */
  #element(schema: Schema, isBuiltin: boolean): JsonObject {
    if (!isBuiltin || this.#dialect === 'v2' || schema.isQuantity === true)
      return this.#value(schema, {}, isBuiltin);
    if (schema.name !== undefined) return this.#value({ ...schema, presence: 'always' });
    const zero = schema.format === 'byte' ? undefined : zeros[schema.type ?? ''];
    return this.#value(zero === undefined ? schema : { default: zero, ...schema });
  }

  #definition(schema: Schema, isBuiltin: boolean): JsonObject {
    const isV3 = this.#dialect === 'v3';
    const typeName = schema.name;
    const out: JsonObject = {};
    const description = schema.description ?? (typeName === undefined ? undefined : describeType(typeName));
    if (description !== undefined) out.description = description;
    if (schema.type !== undefined) out.type = schema.type;
    if (schema.format !== undefined) out.format = schema.format;
    if (schema.isIntOrString === true) out['x-kubernetes-int-or-string'] = true;
    if (schema.properties !== undefined) {
      out.properties = Object.fromEntries(
        Object.entries(schema.properties).map(([key, value]) => {
          const text = typeName === undefined ? undefined : describeField(typeName, key);
          return [key, this.#value(value, text === undefined ? {} : { description: text }, isBuiltin)];
        }),
      );
    }
    if (schema.items !== undefined) out.items = this.#element(schema.items, isBuiltin);
    if (schema.additionalProperties !== undefined) {
      out.additionalProperties =
        schema.additionalProperties === true ? true : this.#element(schema.additionalProperties, isBuiltin);
    }
    if (isV3) {
      for (const key of ['allOf', 'anyOf', 'oneOf'] as const) {
        const list = schema[key];
        if (list !== undefined) out[key] = list.map((s) => this.#value(s, {}, isBuiltin));
      }
      if (schema.not !== undefined) out.not = this.#value(schema.not, {}, isBuiltin);
      if (schema.default !== undefined) out.default = schema.default;
      else if (schema.presence === 'always' && schema.type !== undefined && schema.format !== 'byte') {
        const zero = zeros[schema.type];
        if (zero !== undefined) out.default = zero;
      }
      if (schema.nullable === true && schema.format !== 'date-time') out.nullable = true;
    }
    if (schema.required !== undefined && schema.required.length > 0) out.required = [...schema.required];
    if (schema.enum !== undefined) out.enum = [...schema.enum] as Json[];
    for (const key of plainKeys) {
      const value = schema[key];
      if (value !== undefined) out[key] = value;
    }
    return { ...out, ...mergeExtensions(schema) };
  }
}

const zeros: Readonly<Record<string, Json>> = { string: '', integer: 0, number: 0, boolean: false };

function rootName(r: ServedResource): string {
  return r.isCustom || r.schema.name === undefined
    ? [...r.group.split('.').reverse(), r.version, r.kind].join('.')
    : r.schema.name;
}

/** How patches and server-side apply merge the value. */
function mergeExtensions(schema: Schema): JsonObject {
  const out: JsonObject = {};
  if (schema.listType !== undefined && schema.type === 'array')
    out['x-kubernetes-list-type'] = schema.listType;
  if (schema.listMapKeys !== undefined) out['x-kubernetes-list-map-keys'] = [...schema.listMapKeys];
  // Of a named type only its definition says so.
  if (schema.isAtomicMap === true) out['x-kubernetes-map-type'] = 'atomic';
  if (schema.preservesUnknown === true && schema.type !== undefined && schema.name === undefined)
    out['x-kubernetes-preserve-unknown-fields'] = true;
  if (schema.patchMergeKey !== undefined) out['x-kubernetes-patch-merge-key'] = schema.patchMergeKey;
  if (schema.patchStrategies !== undefined)
    out['x-kubernetes-patch-strategy'] = schema.patchStrategies.join(',');
  return out;
}
