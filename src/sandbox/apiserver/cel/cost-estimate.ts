import type { Environment } from '@marcbachmann/cel-js';
import type { Schema } from '../schema/schema.js';
import { propertySchema } from '../schema/schema.js';
import { type CelNode, isNode } from './library-types.js';
import { parseSource } from './optional-elements.js';
import { escapeName } from './values.js';

/** The largest request: no list or map in it can have more elements than fit. */
const requestMaxBytes = 3 * 1024 * 1024;
const loops: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);
const schemaDepthMax = 20;
/** Going through a character of a text, and of a regular expression. */
const textCost = 0.1;
const patternCost = 0.25;

type Scope = ReadonlyMap<string, Schema | undefined>;

/** The fewest bytes a value of a schema takes in JSON. */
export function minBytes(schema: Schema | undefined, depth = 0): number {
  if (schema === undefined || depth > schemaDepthMax) return 1;
  switch (schema.type) {
    case 'string':
      return 2;
    case 'boolean':
      return 4;
    case 'array':
      return 2;
    case 'object': {
      let bytes = 2;
      for (const name of schema.required ?? []) {
        const child = propertySchema(schema, name);
        if (child?.default === undefined) bytes += name.length + 4 + minBytes(child, depth + 1);
      }
      return bytes;
    }
    default:
      return 1;
  }
}

/** The most elements a list or map of a schema can have. */
export function maxElements(schema: Schema | undefined): number {
  if (schema?.type === 'array') {
    return schema.maxItems ?? Math.floor((requestMaxBytes - 2) / (minBytes(schema.items) + 1));
  }
  if (schema?.type === 'object' && schema.additionalProperties !== undefined) {
    const values = schema.additionalProperties === true ? undefined : schema.additionalProperties;
    return schema.maxProperties ?? Math.floor((requestMaxBytes - 2) / (minBytes(values) + 6));
  }
  return 1;
}

/**
 * What evaluating a rule may cost at least when its lists and maps are as long
 * as the schema lets them be. Kubernetes' own estimate is higher: what exceeds
 * a limit here exceeds it there too. Only loops are looked at closely.
 */
export function leastWorstCost(environment: Environment, source: string, self: Schema): number {
  const ast: unknown = parseSource(environment, source).ast;
  const scope: Scope = new Map([
    ['self', self],
    ['oldSelf', self],
  ]);
  return isNode(ast) ? costOf(ast, scope) : 0;
}

/** The schema of what an expression selects; undefined when that cannot be told. */
function schemaOf(node: CelNode, scope: Scope): Schema | undefined {
  if (node.op === 'id') return scope.get(String(node.args));
  if (node.op !== '.' && node.op !== '.?' && node.op !== '[]' && node.op !== '[?]') return undefined;
  const [operand, key] = node.args as [CelNode, unknown];
  const outer = schemaOf(operand, scope);
  if (outer?.type === 'array') return outer.items;
  if (typeof outer?.additionalProperties === 'object') return outer.additionalProperties;
  const name = Object.keys(outer?.properties ?? {}).find((p) => p === key || escapeName(p) === key);
  return name === undefined ? undefined : outer?.properties?.[name];
}

/** The most characters of a text; 0 for what is no text or cannot be told. */
function textLength(node: CelNode, scope: Scope): number {
  if (node.op === 'value') return typeof node.args === 'string' ? node.args.length : 0;
  const schema = schemaOf(node, scope);
  if (schema?.type !== 'string' || schema.enum !== undefined || schema.format !== undefined) return 0;
  return schema.maxLength ?? requestMaxBytes - 2;
}

function sum(values: unknown, scope: Scope): number {
  if (Array.isArray(values)) return values.reduce((total: number, v: unknown) => total + sum(v, scope), 0);
  return isNode(values) ? costOf(values, scope) : 0;
}

function costOf(node: CelNode, scope: Scope): number {
  switch (node.op) {
    case 'value':
      return 0;
    case 'id':
      return 1;
    case '?:': {
      const [condition, then, otherwise] = node.args as [CelNode, CelNode, CelNode];
      return costOf(condition, scope) + Math.min(costOf(then, scope), costOf(otherwise, scope));
    }
    case '==':
    case '!=': {
      const [left, right] = node.args as [CelNode, CelNode];
      const compared = Math.min(textLength(left, scope), textLength(right, scope));
      return 1 + compared * textCost + sum([left, right], scope);
    }
    case 'rcall': {
      const [name, range, args] = node.args as [string, CelNode, CelNode[]];
      if (name === 'mAtches' && args[0] !== undefined) {
        const cost = textLength(range, scope) * textCost * textLength(args[0], scope) * patternCost;
        return 1 + cost + sum([range, args], scope);
      }
      const [variable, ...bodies] = args;
      if (!loops.has(name) || variable?.op !== 'id' || bodies.length === 0)
        return 1 + sum([range, args], scope);
      const list = schemaOf(range, scope);
      // A loop over a map goes through its keys.
      const element = list?.type === 'array' ? list.items : undefined;
      const inner = new Map(scope).set(String(variable.args), element);
      return costOf(range, scope) + maxElements(list) * Math.max(1, sum(bodies, inner));
    }
    default:
      return 1 + sum(node.args, scope);
  }
}
