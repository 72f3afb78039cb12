import type { Json } from '../../base/json.js';

export type SchemaType = 'object' | 'array' | 'string' | 'integer' | 'number' | 'boolean';

/** One x-kubernetes-validations entry. */
export interface CelRule {
  readonly rule: string;
  readonly message?: string | undefined;
  readonly messageExpression?: string | undefined;
  readonly reason?: string | undefined;
  readonly fieldPath?: string | undefined;
  readonly optionalOldSelf?: boolean | undefined;
}

/**
 * What the server knows about a value: the structural schema of a custom
 * resource, or the shape of a built-in kind. Patching, server-side apply,
 * pruning, defaulting, validation and OpenAPI all read this one form.
 * Schemas of built-in kinds may be cyclic (JSONSchemaProps contains itself).
 */
export interface Schema {
  /** The name of the shared type, for built-in kinds; OpenAPI refers to it. */
  readonly name?: string;
  /** Absent: anything (also x-kubernetes-int-or-string without a type). */
  readonly type?: SchemaType;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  /** A schema for the values, or true for anything. Absent on objects: only `properties` are known. */
  readonly additionalProperties?: Schema | true;
  readonly items?: Schema;
  readonly required?: readonly string[];
  readonly default?: Json;
  readonly nullable?: boolean;
  readonly isIntOrString?: boolean;
  /** A resource quantity such as `100m`: a string, or a number when read. */
  readonly isQuantity?: boolean;
  /** Built-in kinds: written even when empty, as null when not given, or left out when zero. Absent: written when given. */
  readonly presence?: 'always' | 'nullable' | 'nonzero';
  readonly preservesUnknown?: boolean;
  /** apiVersion, kind and metadata of an embedded object are implied. */
  readonly isEmbeddedResource?: boolean;
  readonly listType?: 'atomic' | 'set' | 'map';
  readonly listMapKeys?: readonly string[];
  readonly isAtomicMap?: boolean;
  /** Strategic merge patch: the key by which list items are matched. */
  readonly patchMergeKey?: string;
  readonly patchStrategies?: readonly string[];
  readonly format?: string;
  readonly pattern?: string;
  readonly enum?: readonly Json[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: boolean;
  readonly exclusiveMaximum?: boolean;
  readonly multipleOf?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly allOf?: readonly Schema[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly not?: Schema;
  readonly rules?: readonly CelRule[];
}

/** The schema of an object's property; undefined when the schema does not know it. */
export function propertySchema(schema: Schema | undefined, key: string): Schema | undefined {
  if (schema === undefined) return undefined;
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, key)) return schema.properties[key];
  return schema.additionalProperties === true ? undefined : schema.additionalProperties;
}
