import type { Json, JsonObject } from '../json.js';
import type { Resource } from '../registry/resource.js';
import { BuiltinSchemas } from '../schema/builtin-schema.js';
import type { Schema } from '../schema/schema.js';

const metaTypes: ReadonlySet<string> = new Set([
  'V1ObjectMeta',
  'V1LabelSelector',
  'V1LabelSelectorRequirement',
  'V1OwnerReference',
  'V1ManagedFieldsEntry',
  'V1Condition',
  'V1ListMeta',
  'V1DeleteOptions',
  'V1Preconditions',
  'V1Status',
  'V1StatusDetails',
  'V1StatusCause',
]); // prettier-ignore
const objectMeta = new BuiltinSchemas().get('V1ObjectMeta');

/** Collects the named schemas that a set of resources refers to. */
export class ComponentSchemas {
  readonly #prefix: string;
  readonly #components = new Map<string, JsonObject>();
  readonly #pending: {
    readonly name: string;
    readonly schema: Schema;
    readonly group: string;
    readonly version: string;
  }[] = [];

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Adds a resource's own schema; returns the reference to it. */
  root(r: Resource): string {
    const name = r.isCustom
      ? `${[...r.group.split('.').reverse(), r.version, r.kind].join('.')}`
      : typeName(r.schema.name ?? r.kind, r.group, r.version);
    const body = this.#convert(r.schema, r.group, r.version, { inline: true });
    if (r.isCustom || r.schema.properties?.metadata === undefined) {
      const properties = (body.properties ?? {}) as JsonObject;
      properties.apiVersion = { type: 'string' };
      properties.kind = { type: 'string' };
      properties.metadata = this.#convert(objectMeta, r.group, r.version, { inline: false });
      body.properties = properties;
      body.type = 'object';
    }
    body['x-kubernetes-group-version-kind'] = [{ group: r.group, version: r.version, kind: r.kind }];
    this.#components.set(name, body);
    return `${this.#prefix}${name}`;
  }

  /** Everything collected, with what it refers to. */
  components(): JsonObject {
    for (let next = this.#pending.pop(); next !== undefined; next = this.#pending.pop()) {
      if (this.#components.has(next.name)) continue;
      // Reserved before converting: types may contain themselves.
      this.#components.set(next.name, {});
      this.#components.set(next.name, this.#convert(next.schema, next.group, next.version, { inline: true }));
    }
    return Object.fromEntries([...this.#components].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #convert(schema: Schema, group: string, version: string, options: { inline: boolean }): JsonObject {
    if (schema.name !== undefined && !options.inline) {
      const name = typeName(schema.name, group, version);
      if (!this.#components.has(name)) this.#pending.push({ name, schema, group, version });
      // A reference may not have siblings in OpenAPI 3.0, hence allOf.
      const ref: JsonObject = { $ref: `${this.#prefix}${name}` };
      return schema.default === undefined ? { allOf: [ref] } : { allOf: [ref], default: schema.default };
    }
    const out: JsonObject = {};
    const child = (s: Schema): JsonObject => this.#convert(s, group, version, { inline: false });
    if (schema.description !== undefined) out.description = schema.description;
    if (schema.type !== undefined) out.type = schema.type;
    if (schema.format !== undefined) out.format = schema.format;
    if (schema.isIntOrString === true) {
      if (schema.format === 'int-or-string') out.oneOf = [{ type: 'integer' }, { type: 'string' }];
      else out['x-kubernetes-int-or-string'] = true;
    }
    if (schema.properties !== undefined) {
      out.properties = Object.fromEntries(Object.entries(schema.properties).map(([k, v]) => [k, child(v)]));
    }
    if (schema.items !== undefined) out.items = child(schema.items);
    if (schema.additionalProperties !== undefined) {
      out.additionalProperties =
        schema.additionalProperties === true ? true : child(schema.additionalProperties);
    }
    for (const key of ['allOf', 'anyOf', 'oneOf'] as const) {
      const list = schema[key];
      if (list !== undefined) out[key] = list.map(child);
    }
    if (schema.not !== undefined) out.not = child(schema.not);
    if (schema.required !== undefined) out.required = [...schema.required];
    if (schema.enum !== undefined) out.enum = [...schema.enum] as Json[];
    for (const key of [
      'default',
      'nullable',
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
    ] as const) {
      // prettier-ignore
      const value = schema[key];
      if (value !== undefined && !(key === 'nullable' && schema.format === 'date-time')) out[key] = value;
    }
    if (schema.listType !== undefined && schema.type === 'array')
      out['x-kubernetes-list-type'] = schema.listType;
    if (schema.listMapKeys !== undefined) out['x-kubernetes-list-map-keys'] = [...schema.listMapKeys];
    if (schema.isAtomicMap === true) out['x-kubernetes-map-type'] = 'atomic';
    if (schema.preservesUnknown === true && schema.type !== undefined)
      out['x-kubernetes-preserve-unknown-fields'] = true;
    if (schema.patchMergeKey !== undefined) out['x-kubernetes-patch-merge-key'] = schema.patchMergeKey;
    if (schema.patchStrategies !== undefined)
      out['x-kubernetes-patch-strategy'] = schema.patchStrategies.join(',');
    return out;
  }
}

/** The published name of a built-in type. */
function typeName(type: string, group: string, version: string): string {
  const kind = type.replace(
    /^(?:Core|Events|Discovery|Rbac|Authentication|Storage|Admissionregistration|Apiextensions|Apiregistration|Flowcontrol|Resource)?V\d+(?:(?:alpha|beta)\d+)?/,
    '',
  );
  if (metaTypes.has(type)) return `io.k8s.apimachinery.pkg.apis.meta.v1.${kind}`;
  const short = group === '' ? 'core' : (group.split('.')[0] ?? group);
  return `io.k8s.api.${short}.${version}.${kind}`;
}
