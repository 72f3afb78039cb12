import type { Environment } from '@marcbachmann/cel-js';
import { type Schema, propertySchema } from '../schema/schema.js';
import { escapeName } from './values.js';

/** Objects nest this deep in type checks; what is below is taken for anything. */
const depthMax = 50;

/**
 * Declares CEL types for a structural schema, so that rules are checked
 * against the fields that exist when they are written.
 */
export class SchemaTypes {
  readonly #environment: Environment;
  /** Rules of definitions see only names in metadata, policies all of it. */
  readonly #seesMetadata: boolean;
  /** Types of schemas that have a name: those of built-in kinds may contain themselves. */
  readonly #named = new Map<string, string>();
  #count = 0;

  constructor(environment: Environment, options: { readonly seesMetadata?: boolean } = {}) {
    this.#environment = environment;
    this.#seesMetadata = options.seesMetadata === true;
  }

  /** The name of the type of values under a schema. */
  typeOf(schema: Schema | undefined, isRoot = false, depth = 0): string {
    if (schema === undefined || depth > depthMax || schema.isIntOrString === true) return 'dyn';
    switch (schema.type) {
      case 'boolean':
        return 'bool';
      case 'integer':
        return 'int';
      case 'number':
        return 'double';
      case 'string':
        return textType(schema.format);
      case 'array':
        return schema.items === undefined ? 'dyn' : `list<${this.typeOf(schema.items, false, depth + 1)}>`;
      case 'object': {
        if (schema.name === undefined) return this.#objectType(schema, isRoot, depth);
        const known = this.#named.get(schema.name);
        if (known !== undefined) return known;
        // Until it is complete a type that contains itself is anything.
        this.#named.set(schema.name, 'dyn');
        const type = this.#objectType(schema, isRoot, depth);
        this.#named.set(schema.name, type);
        return type;
      }
      default:
        return 'dyn';
    }
  }

  #objectType(schema: Schema, isRoot: boolean, depth: number): string {
    if (schema.additionalProperties !== undefined) {
      const values = schema.additionalProperties === true ? undefined : schema.additionalProperties;
      return `map<string, ${this.typeOf(values, false, depth + 1)}>`;
    }
    const fields: Record<string, string> = {};
    if (!this.#seesMetadata && (isRoot || schema.isEmbeddedResource === true)) {
      fields.apiVersion = 'string';
      fields.kind = 'string';
      fields.metadata = this.#register({ name: 'string', generateName: 'string' });
    }
    for (const name of Object.keys(schema.properties ?? {})) {
      const field = escapeName(name);
      const child = propertySchema(schema, name);
      // What has no type of its own (only x-kubernetes-preserve-unknown-fields) is out of the reach of rules.
      if (field === undefined || Object.hasOwn(fields, field) || !isTyped(child)) continue;
      const type = this.typeOf(child, false, depth + 1);
      fields[field] = type;
      // Reserved words may also be selected as they are.
      if (field === `__${name}__`) fields[name] = type;
    }
    return this.#register(fields);
  }

  #register(fields: Record<string, string>): string {
    // The library keeps type names for good: numbers are used again by the next environment.
    const name = `object${this.#count++}`;
    this.#environment.registerType(name, { fields });
    return name;
  }
}

function isTyped(schema: Schema | undefined): boolean {
  return schema?.type !== undefined || schema?.isIntOrString === true;
}

function textType(format: string | undefined): string {
  switch (format) {
    case 'date':
    case 'date-time':
      return 'google.protobuf.Timestamp';
    case 'duration':
      return 'google.protobuf.Duration';
    case 'byte':
      return 'bytes';
    default:
      return 'string';
  }
}
