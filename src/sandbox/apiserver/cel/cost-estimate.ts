import type { Environment } from '@marcbachmann/cel-js';
import type { Schema } from '../schema/schema.js';
import { propertySchema } from '../schema/schema.js';
import { type CelNode, isNode } from './library-types.js';
import { parseSource } from './optional-elements.js';
import { escapeName } from './values.js';

/** The largest request: no list or map in it can have more elements than fit. */
export const requestMaxBytes = 3 * 1024 * 1024;
const schemaDepthMax = 20;
/** Going through a character of a text, and of a regular expression. */
const textCost = 0.1;
const patternCost = 0.25;
/** Making a list, and a map. */
const listCost = 10;
const mapCost = 30;

/** Bytes of texts of a format, with their quotes: the fewest and the most. */
const formatBytes: Readonly<Record<string, readonly [number, number]>> = {
  date: [12, 12],
  'date-time': [21, 32],
  duration: [3, 32],
};

/** What a loop costs besides its bodies: once, and for each element; a loop is an expansion into simpler calls. */
const loops: Readonly<Record<string, { readonly once: number; readonly each: number }>> = {
  all: { once: 1, each: 3 },
  exists: { once: 1, each: 4 },
  exists_one: { once: 2, each: 2 },
  existsOne: { once: 2, each: 2 },
  map: { once: 1 + listCost, each: 2 + listCost },
  filter: { once: 1 + listCost, each: 3 + listCost },
};
/** A loop over a map goes through its keys, of which nothing is known. */
const keySchema: Schema = { type: 'string', maxLength: 0 };

type Scope = ReadonlyMap<string, Schema | undefined>;

/** The fewest bytes a value of a schema takes in JSON. */
export function minBytes(schema: Schema | undefined, depth = 0): number {
  if (schema === undefined || depth > schemaDepthMax) return 1;
  switch (schema.type) {
    case 'string':
      return formatBytes[schema.format ?? '']?.[0] ?? 2;
    case 'boolean':
      return 4;
    case 'array':
      return 2;
    case 'object': {
      let bytes = 2;
      for (const name of schema.required ?? []) {
        const child = propertySchema(schema, name);
        if (child !== undefined && child.default === undefined)
          bytes += name.length + 4 + minBytes(child, depth + 1);
      }
      return bytes;
    }
    default:
      return 1;
  }
}

/** The most elements or characters a value of a schema can have; 0 for values that have none. */
function maxSize(schema: Schema): number {
  if (schema.isIntOrString === true) return requestMaxBytes - 2;
  if (schema.type === 'string') {
    const ofFormat = formatBytes[schema.format ?? '']?.[1];
    if (ofFormat !== undefined) return ofFormat;
    // Lengths count characters, sizes bytes.
    if (schema.maxLength !== undefined) return schema.maxLength * (schema.format === 'byte' ? 1 : 4);
    const texts = (schema.enum ?? []).filter((v) => typeof v === 'string');
    if ((schema.enum?.length ?? 0) > 0 && schema.format !== 'byte')
      return Math.max(0, ...texts.map((t) => t.length));
    return requestMaxBytes - 2;
  }
  if (schema.type === 'array')
    return schema.maxItems ?? Math.floor((requestMaxBytes - 2) / (minBytes(schema.items) + 1));
  if (schema.type === 'object' && schema.additionalProperties !== undefined) {
    const values = schema.additionalProperties === true ? undefined : schema.additionalProperties;
    return schema.maxProperties ?? Math.floor((requestMaxBytes - 2) / (minBytes(values) + 6));
  }
  return 0;
}

/**
 * What evaluating a rule may cost when its texts, lists and maps are as long as
 * the schema lets them be: as Kubernetes estimates it, but that functions of
 * Kubernetes' own libraries count as one step, and what has no known size as
 * nothing. So what exceeds a limit here exceeds it there too.
 */
export function estimatedCost(environment: Environment, source: string, self: Schema): number {
  const { ast } = parseSource(environment, source) as { readonly ast: unknown };
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

/** The most elements or characters of a value; undefined when that cannot be told. */
function sizeOf(node: CelNode, scope: Scope): number | undefined {
  switch (node.op) {
    case 'value':
      return typeof node.args === 'string' ? Array.from(node.args).length : 1;
    case 'list':
    case 'map':
      return (node.args as unknown[]).length;
    case '+': {
      const [left, right] = node.args as [CelNode, CelNode];
      const sizes = [sizeOf(left, scope), sizeOf(right, scope)];
      return isSized(left, scope) || isSized(right, scope) ? (sizes[0] ?? 0) + (sizes[1] ?? 0) : undefined;
    }
    case '?:': {
      const [, then, otherwise] = node.args as [CelNode, CelNode, CelNode];
      return Math.max(sizeOf(then, scope) ?? 0, sizeOf(otherwise, scope) ?? 0);
    }
    case 'rcall': {
      const [name, range] = node.args as [string, CelNode];
      return (name === 'map' || name === 'filter') && isLoop(node) ? sizeOf(range, scope) : undefined;
    }
    default: {
      const schema = schemaOf(node, scope);
      return schema === undefined ? undefined : maxSize(schema);
    }
  }
}

/** Whether a value is known to be a text. */
function isText(node: CelNode, scope: Scope): boolean {
  if (node.op === 'value') return typeof node.args === 'string';
  if (node.op === '+') return (node.args as CelNode[]).some((n) => isText(n, scope));
  const schema = schemaOf(node, scope);
  return schema?.type === 'string' && !Object.hasOwn(formatBytes, schema.format ?? ''); // times are no texts
}

/** Whether a value is known to be a text or a list. */
function isSized(node: CelNode, scope: Scope): boolean {
  return node.op === 'list' || schemaOf(node, scope)?.type === 'array' || isText(node, scope);
}

function isLoop(node: CelNode): boolean {
  if (node.op !== 'rcall') return false;
  const [name, , args] = node.args as [string, CelNode, CelNode[]];
  return Object.hasOwn(loops, name) && args[0]?.op === 'id' && args.length > 1;
}

function sum(values: unknown, scope: Scope): number {
  if (Array.isArray(values)) return values.reduce((total: number, v: unknown) => total + sum(v, scope), 0);
  return isNode(values) ? costOf(values, scope) : 0;
}

function costOf(node: CelNode, scope: Scope): number {
  const size = (n: CelNode): number => sizeOf(n, scope) ?? 0;
  switch (node.op) {
    case 'value':
      return 0;
    case 'id':
      return scope.has(String(node.args)) ? 1 : 0; // others are names of types and libraries
    case '.': {
      const [operand] = node.args as [CelNode];
      return (schemaOf(operand, scope)?.type === 'object' ? 1 : 0) + costOf(operand, scope);
    }
    case '&&':
    case '||':
      return sum(node.args, scope);
    case '?:': {
      const [condition, then, otherwise] = node.args as [CelNode, CelNode, CelNode];
      return costOf(condition, scope) + Math.max(costOf(then, scope), costOf(otherwise, scope));
    }
    case 'list':
      return listCost + sum(node.args, scope);
    case 'map':
      return mapCost + sum(node.args, scope);
    case '==':
    case '!=':
    case '<':
    case '<=':
    case '>':
    case '>=': {
      const operands = node.args as CelNode[];
      const isEquality = node.op === '==' || node.op === '!=';
      if (!isEquality && !operands.some((n) => isText(n, scope))) return 1 + sum(operands, scope);
      const sizes = operands.map((n) => sizeOf(n, scope)).filter((n) => n !== undefined);
      return Math.ceil(Math.min(...(sizes.length === 0 ? [0] : sizes)) * textCost) + sum(operands, scope);
    }
    case '+': {
      const operands = node.args as CelNode[];
      if (!operands.some((n) => isText(n, scope))) return 1 + sum(operands, scope);
      return Math.ceil(size(node) * textCost) + sum(operands, scope);
    }
    case 'in': {
      const [, range] = node.args as [CelNode, CelNode];
      const isList = range.op === 'list' || schemaOf(range, scope)?.type === 'array';
      return (isList ? size(range) : 1) + sum(node.args, scope);
    }
    case 'call': {
      const [name, args] = node.args as [string, CelNode[]];
      const [selected] = args;
      // Whether a field is there is found out for nothing.
      if (name === 'hAs' && selected?.op === '.') return sum((selected.args as CelNode[])[0], scope);
      return 1 + sum(args, scope);
    }
    case 'rcall':
      return isLoop(node) ? loopCost(node, scope) : callCost(node, scope);
    default:
      return 1 + sum(node.args, scope);
  }
}

function callCost(node: CelNode, scope: Scope): number {
  const [name, target, args] = node.args as [string, CelNode, CelNode[]];
  const size = (n: CelNode | undefined): number => (n === undefined ? 0 : (sizeOf(n, scope) ?? 0));
  const operands = sum([target, args], scope);
  switch (name) {
    case 'mAtches':
      return Math.ceil((size(target) + 1) * textCost) * Math.ceil(size(args[0]) * patternCost) + operands;
    case 'contains':
      if (!isText(target, scope) && !args.some((n) => isText(n, scope))) break;
      return Math.ceil(size(target) * textCost) * Math.ceil(size(args[0]) * textCost) + operands;
    case 'startsWith':
    case 'endsWith':
      return Math.ceil(size(args[0]) * textCost) + operands;
  }
  return 1 + operands;
}

function loopCost(node: CelNode, scope: Scope): number {
  const [name, range, [variable, ...bodies]] = node.args as [string, CelNode, CelNode[]];
  const { once, each } = loops[name] ?? { once: 0, each: 0 };
  const list = schemaOf(range, scope);
  const element = list?.type === 'array' ? list.items : list?.type === 'object' ? keySchema : undefined;
  const inner = new Map(scope).set(String(variable?.args), element);
  return once + costOf(range, scope) + (sizeOf(range, scope) ?? 1) * (each + sum(bodies, inner));
}
