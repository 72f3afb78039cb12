import type { Json } from '../../base/json.js';
import types from './builtin-types.json' with { type: 'json' };
import type { Schema, SchemaType } from './schema.js';

const shapes: Readonly<Record<string, Readonly<Record<string, string>>>> = types;

type Draft = { -readonly [K in keyof Schema]: Schema[K] };

/**
 * Builds schemas of built-in types by name, each once. A field's text is its
 * type (`!`: required), then words: `~` always written, `^` as null when not given, `?` left out when
 * zero, `=` default, `enum:`, `map:` and `set` (list types), `atomic`,
 * `key:` and `patch:` (strategic merge patch).
 */
export class BuiltinSchemas {
  readonly #byName = new Map<string, Schema>();

  /** The schema of a type such as `api.core.v1.PodSpec` (the published name without `io.k8s.`). Throws for an unknown name. */
  get(name: string): Schema {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const shape = shapes[name];
    if (shape === undefined) throw new Error(`no built-in type ${name}`);
    const properties: Record<string, Schema> = {};
    const required: string[] = [];
    const draft: Draft = { name: `io.k8s.${name}` };
    // Registered before its fields are built: types may contain themselves.
    this.#byName.set(name, draft);
    const self = shape[''];
    if (self === 'anyObject') draft.type = 'object';
    if (self === 'anyObject' || self === 'any') {
      draft.preservesUnknown = true;
      return draft;
    }
    draft.type = 'object';
    draft.properties = properties;
    draft.required = required;
    if (self === 'atomic') draft.isAtomicMap = true;
    for (const [field, text] of Object.entries(shape)) {
      if (field === '') continue;
      const [typeText = '', ...words] = text.split(' ');
      const isRequired = typeText.endsWith('!');
      if (isRequired) required.push(field);
      const base = this.#parse(isRequired ? typeText.slice(0, -1) : typeText);
      properties[field] = words.length === 0 ? base : withWords(base, words);
    }
    return draft;
  }

  #parse(text: string): Schema {
    if (text.startsWith('[]'))
      return { type: 'array', items: this.#parse(text.slice(2)), listType: 'atomic' };
    if (text.startsWith('{}')) return { type: 'object', additionalProperties: this.#parse(text.slice(2)) };
    if (text.startsWith('#')) return this.get(text.slice(1));
    return scalar(text);
  }
}

/** The schemas of the built-in types: one set for the whole process, which nothing changes. */
export const builtinSchemas = new BuiltinSchemas();

function scalar(text: string): Schema {
  switch (text) {
    case 'any':
      return { preservesUnknown: true };
    case 'object':
      return { type: 'object', preservesUnknown: true };
    case 'intOrString':
      return {
        name: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
        isIntOrString: true,
        format: 'int-or-string',
      };
    case 'quantity':
      return { name: 'io.k8s.apimachinery.pkg.api.resource.Quantity', isQuantity: true };
    case 'time':
    case 'microTime':
      return {
        name: `io.k8s.apimachinery.pkg.apis.meta.v1.${text === 'time' ? 'Time' : 'MicroTime'}`,
        type: 'string',
        format: 'date-time',
        nullable: true,
      };
    case 'int32':
    case 'int64':
      return { type: 'integer', format: text };
    case 'bytes':
      return { type: 'string', format: 'byte' };
    default: {
      const type: SchemaType = text === 'number' ? 'number' : text === 'boolean' ? 'boolean' : 'string';
      return type === 'number' ? { type, format: 'double' } : { type };
    }
  }
}

function withWords(base: Schema, words: readonly string[]): Schema {
  const out: Draft = { ...base };
  for (const word of words) {
    const [head, rest] = splitOnce(word);
    switch (head) {
      case '~':
        out.presence = 'always';
        break;
      case '^':
        out.presence = 'nullable';
        break;
      case '?':
        out.presence = 'nonzero';
        break;
      case '=':
        // The table holds JSON literals only.
        out.default = JSON.parse(rest) as Json;
        break;
      case 'enum':
        out.enum = rest.split('|');
        break;
      case 'map':
        out.listType = 'map';
        out.listMapKeys = rest.split(',');
        break;
      case 'set':
        out.listType = 'set';
        break;
      case 'unspecified':
        delete out.listType;
        break;
      case 'atomic':
        out.isAtomicMap = true;
        break;
      case 'key':
        out.patchMergeKey = rest;
        break;
      case 'patch':
        out.patchStrategies = rest.split(',');
        break;
      default:
        throw new Error(`unknown word ${word} in the table of built-in types`);
    }
  }
  return out;
}

function splitOnce(word: string): [string, string] {
  if (word.startsWith('=')) return ['=', word.slice(1)];
  const colon = word.indexOf(':');
  return colon < 0 ? [word, ''] : [word.slice(0, colon), word.slice(colon + 1)];
}
