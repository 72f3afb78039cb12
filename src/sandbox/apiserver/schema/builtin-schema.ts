import { atomicTypes, keyDefaults, type MergeFact, mergeFacts } from './builtin-merge-facts.js';
import types from './builtin-types.json' with { type: 'json' };
import type { Schema, SchemaType } from './schema.js';

const shapes: Readonly<Record<string, Readonly<Record<string, string>>>> = types;
const conditionFact: MergeFact = { keys: ['type'], mergeKey: 'type' };

type Draft = { -readonly [K in keyof Schema]: Schema[K] };

/** Builds schemas of built-in types by name, each once. */
export class BuiltinSchemas {
  readonly #byName = new Map<string, Schema>();

  /** The schema of a type such as V1PodSpec. Throws for a name that was not generated. */
  get(name: string): Schema {
    const known = this.#byName.get(name);
    if (known !== undefined) return known;
    const shape = shapes[name];
    if (shape === undefined) throw new Error(`no built-in type ${name}`);
    const draft: Draft = { name, type: 'object' };
    // Registered before its fields are built: types may contain themselves.
    this.#byName.set(name, draft);
    const properties: Record<string, Schema> = {};
    const required: string[] = [];
    for (const [field, text] of Object.entries(shape)) {
      const isRequired = text.endsWith('!');
      if (isRequired) required.push(field);
      const base = this.#parse(isRequired ? text.slice(0, -1) : text);
      const fact =
        mergeFacts[name]?.[field] ??
        (field === 'conditions' && name.endsWith('Status') ? conditionFact : undefined);
      const defaulted = keyDefaults[name]?.[field];
      properties[field] = withFacts(base, fact, defaulted);
    }
    draft.properties = properties;
    if (required.length > 0) draft.required = required;
    if (atomicTypes.has(name)) draft.isAtomicMap = true;
    if (name === 'V1JSONSchemaProps') draft.preservesUnknown = false;
    return draft;
  }

  /** Names of every type built so far or reachable from them. */
  get names(): readonly string[] {
    return [...this.#byName.keys()];
  }

  #parse(text: string): Schema {
    if (text.startsWith('[]'))
      return { type: 'array', items: this.#parse(text.slice(2)), listType: 'atomic' };
    if (text.startsWith('{}')) return { type: 'object', additionalProperties: this.#parse(text.slice(2)) };
    if (text.startsWith('#')) return this.get(text.slice(1));
    return scalar(text);
  }
}

function scalar(text: string): Schema {
  switch (text) {
    case 'any':
      return { preservesUnknown: true };
    case 'intOrString':
      return { isIntOrString: true, format: 'int-or-string' };
    case 'int32':
    case 'int64':
      return { type: 'integer', format: text };
    case 'time':
      return { type: 'string', format: 'date-time', nullable: true };
    case 'bytes':
      return { type: 'string', format: 'byte' };
    default: {
      const type: SchemaType = text === 'number' ? 'number' : text === 'boolean' ? 'boolean' : 'string';
      return { type };
    }
  }
}

function withFacts(base: Schema, fact: MergeFact | undefined, defaulted: string | undefined): Schema {
  if (fact === undefined && defaulted === undefined) return base;
  const strategies = [
    ...(fact?.mergeKey === undefined ? [] : ['merge']),
    ...(fact?.retainsKeys === true ? ['retainKeys'] : []),
  ];
  return {
    ...base,
    ...(fact?.keys === undefined ? {} : { listType: 'map' as const, listMapKeys: fact.keys }),
    ...(fact?.isSet === true ? { listType: 'set' as const } : {}),
    ...(fact?.mergeKey === undefined || fact.mergeKey === '' ? {} : { patchMergeKey: fact.mergeKey }),
    ...(fact?.isAtomicMap === true ? { isAtomicMap: true } : {}),
    ...(strategies.length > 0 ? { patchStrategies: strategies } : {}),
    ...(defaulted === undefined ? {} : { default: defaulted }),
  };
}
