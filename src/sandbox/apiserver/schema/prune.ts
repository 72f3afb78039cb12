import { isObject, type Json, type JsonObject } from '../../base/json.js';
import { builtinSchemas } from './builtin-schema.js';
import type { Schema } from './schema.js';

const objectMeta = builtinSchemas.get('apimachinery.pkg.apis.meta.v1.ObjectMeta');

/** Fields of every object that its own schema need not name. */
const embedded: ReadonlySet<string> = new Set(['apiVersion', 'kind', 'metadata']);

/**
 * Removes, in place, what the schema does not know, and returns the paths
 * removed (for strict field validation). `isRoot` keeps the object's type and
 * metadata whatever the schema says.
 */
export function prune(value: Json | undefined, schema: Schema, options: { isRoot: boolean }): string[] {
  const removed: string[] = [];
  walk(value, schema, '', options.isRoot, removed);
  return removed;
}

function walk(
  value: Json | undefined,
  schema: Schema,
  path: string,
  isRoot: boolean,
  removed: string[],
): void {
  if (Array.isArray(value)) {
    const items = schema.items;
    if (items !== undefined) {
      value.forEach((v: Json, i) => {
        walk(v, items, `${path}[${i}]`, false, removed);
      });
    }
    return;
  }
  if (!isObject(value)) return;
  const isWhole = isRoot || schema.isEmbeddedResource === true;
  for (const key of Object.keys(value)) {
    // What a schema says of embedded metadata restricts its values, not its fields.
    const isMetadata = schema.isEmbeddedResource === true && key === 'metadata';
    const child = isMetadata ? objectMeta : childSchema(schema, key);
    const childPath = path === '' ? key : `${path}.${key}`;
    if (child !== undefined) {
      walk(value[key], child, childPath, false, removed);
    } else if (isWhole && embedded.has(key)) {
      continue;
    } else if (schema.preservesUnknown !== true && schema.additionalProperties !== true) {
      // A schema that says nothing of an object's content prunes all of it, as Kubernetes does.
      drop(value, key);
      removed.push(childPath);
    }
  }
}

function childSchema(schema: Schema, key: string): Schema | undefined {
  if (schema.properties !== undefined && Object.hasOwn(schema.properties, key)) return schema.properties[key];
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

function drop(object: JsonObject, key: string): void {
  Reflect.deleteProperty(object, key);
}
