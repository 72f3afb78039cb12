import { stringify } from 'yaml';
import { MeshError } from '#base/errors/mesh-error.js';
import { isMap, mergeValues, scalarText, type Value, type ValueMap, valueAt } from './values.js';

/*
 * Templates are YAML whose scalars may hold {{ path }} and whose maps may hold four directives:
 *   $when: CONDITION     leave this map out (of its list, of its parent, of the file) unless it holds
 *   $each: path          in a list: one $item per element; {{ item }} and {{ key }} (index or map key)
 *   $item: NODE          what $each repeats
 *   $merge: "{{ path }}" lay that map over this one
 * A scalar that is only {{ path }} keeps the type of the value. Filters: yaml, json, csv, string.
 * There is no other logic: what needs computing is computed in scope.ts and given a name.
 */

const omitted = Symbol('omitted');
type Rendered = Value | typeof omitted;

/** Renders one document; undefined when its `$when` does not hold. @throws MESH0304 for an unknown path */
export function renderDocument(template: Value, scope: ValueMap, where: string): ValueMap | undefined {
  const rendered = renderNode(template, scope, where);
  if (rendered === omitted) return undefined;
  if (!isMap(rendered)) throw new MeshError('MESH0304', `${where}: not an object`);
  return rendered;
}

/** Renders values that refer to each other by name: each sees those above it. @throws MESH0304 for others */
export function renderNamed(named: ValueMap, where: string): ValueMap {
  const scope: Record<string, Value> = {};
  for (const [name, node] of Object.entries(named)) {
    const rendered = renderNode(node, scope, `${where}.${name}`);
    if (rendered !== omitted) scope[name] = rendered;
  }
  return scope;
}

function renderNode(node: Value, scope: ValueMap, where: string): Rendered {
  if (typeof node === 'string') return renderText(node, scope, where);
  if (Array.isArray(node)) return renderList(node as readonly Value[], scope, where);
  if (isMap(node)) return renderMap(node, scope, where);
  return node;
}

function renderMap(node: ValueMap, scope: ValueMap, where: string): Rendered {
  const { $when, $merge, ...entries } = node;
  if ($when !== undefined && !holds(scalarText($when), scope)) return omitted;
  const map: Record<string, Value> = {};
  for (const [key, value] of Object.entries(entries)) {
    const rendered = renderNode(value, scope, `${where}.${key}`);
    if (rendered !== omitted) map[key] = key === 'env' ? lastOfEachName(rendered) : rendered;
  }
  if ($merge === undefined) return map;
  const over = renderNode($merge, scope, where);
  if (!isMap(over)) throw new MeshError('MESH0304', `${where}: $merge is not a map`);
  return mergeValues(map, over);
}

function renderList(list: readonly Value[], scope: ValueMap, where: string): Value[] {
  const items: Value[] = [];
  for (const [index, node] of list.entries()) {
    if (isMap(node) && node['$each'] !== undefined) {
      items.push(...renderEach(node, scope, `${where}[${index}]`));
      continue;
    }
    const rendered = renderNode(node, scope, `${where}[${index}]`);
    if (rendered !== omitted) items.push(rendered);
  }
  return items;
}

function renderEach(node: ValueMap, scope: ValueMap, where: string): Value[] {
  const over = lookUp(scalarText(node['$each']), scope, where);
  const item = node['$item'];
  if (item === undefined) throw new MeshError('MESH0304', `${where}: $each without $item`);
  const entries = typeof over === 'object' && over !== null ? Object.entries(over) : undefined;
  if (entries === undefined) throw new MeshError('MESH0304', `${where}: $each over a single value`);
  return entries
    .map(([key, value]) => renderNode(item, { ...scope, key, item: value as Value }, where))
    .filter((r): r is Value => r !== omitted);
}

function renderText(text: string, scope: ValueMap, where: string): Value {
  const whole = /^\{\{([^{}]+)\}\}$/.exec(text)?.[1];
  if (whole !== undefined) return evaluate(whole, scope, where);
  return text.replace(/\{\{([^{}]+)\}\}/g, (_, expression: string) => {
    const value = evaluate(expression, scope, where);
    if (typeof value === 'object') throw new MeshError('MESH0304', `${where}: ${expression} is no scalar`);
    return String(value);
  });
}

function evaluate(expression: string, scope: ValueMap, where: string): Value {
  const [path = '', filter] = expression.split('|').map((part) => part.trim());
  const value = lookUp(path, scope, where);
  switch (filter) {
    case undefined:
      return value;
    case 'yaml':
      return stringify(value, { lineWidth: 0, sortMapEntries: true, aliasDuplicateObjects: false });
    case 'json':
      return JSON.stringify(value);
    case 'csv':
      return Array.isArray(value) ? value.join(',') : scalarText(value);
    case 'string':
      return scalarText(value);
    default:
      throw new MeshError('MESH0304', `${where}: unknown filter ${filter}`);
  }
}

function lookUp(path: string, scope: ValueMap, where: string): Value {
  const value = valueAt(scope, path.split('.'));
  if (value === undefined) throw new MeshError('MESH0304', `${where}: no value ${path}`);
  return value;
}

/** `path`, `!path`, `path == text`, `path != text`, joined by `&&`. Absent, empty, zero and false do not hold. */
function holds(condition: string, scope: ValueMap): boolean {
  return condition.split('&&').every((part) => {
    const [, left = '', operator, right] = /^\s*(\S+?)\s*(?:(==|!=)\s*(\S*))?\s*$/.exec(part) ?? [];
    const isNegated = left.startsWith('!');
    const value = valueAt(scope, (isNegated ? left.slice(1) : left).split('.'));
    if (operator === '==') return scalarText(value ?? '') === right;
    if (operator === '!=') return scalarText(value ?? '') !== right;
    return isTruthy(value) !== isNegated;
  });
}

function isTruthy(value: Value | undefined): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return Boolean(value);
}

/** Environment variables set twice would be refused by the API server; the later one, which is the user's, stays. */
function lastOfEachName(rendered: Value): Value {
  if (!Array.isArray(rendered)) return rendered;
  const byName = new Map<Value | undefined, Value>();
  for (const entry of rendered as readonly Value[]) {
    byName.set(isMap(entry) ? entry['name'] : entry, entry);
  }
  return [...byName.values()];
}
