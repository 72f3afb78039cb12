import { MeshError } from '#base/errors/mesh-error.js';
import { isMap, scalarText, type Value } from '../../templates/values.js';

/** One step of a `--set` path. */
export type PathStep =
  | { readonly what: 'key'; readonly key: string }
  | { readonly what: 'index'; readonly index: number }
  /** `[name:foo]`: the element whose field `name` is `foo`. */
  | { readonly what: 'select'; readonly field: string; readonly value: string };

/** A `--set` argument taken apart. */
export interface Assignment {
  readonly path: readonly PathStep[];
  readonly value: Value;
  /** As typed, for messages. */
  readonly source: string;
}

/** Longest list index: a typo must not allocate millions of elements. */
const indexMax = 1_000;

/**
 * Parses `a.b[0].c=value`: istioctl's grammar (`\.` for a literal dot, `[name:x]`
 * to choose a list element) with helm's list literal `{a,b}`, `\,` and `null`.
 * `isString` keeps the value as typed; `isStringPath` says so for certain paths.
 * @throws MESH0301
 */
export function parseAssignment(
  source: string,
  options: { isString: boolean; isStringPath?: (path: readonly string[]) => boolean },
): Assignment {
  const equals = findEquals(source);
  if (equals < 0) {
    throw new MeshError('MESH0301', `--set ${source}: no "=" between path and value`);
  }
  const path = parsePath(source, source.slice(0, equals).trim());
  const text = source.slice(equals + 1).trim();
  const names = path.map(stepName);
  const isString = options.isString || options.isStringPath?.(names) === true;
  return { path, value: isString ? unescape(text) : inferValue(text), source };
}

/** Follows the assignment in a copy of `root`. @throws MESH0301 when the path does not fit the values */
export function assign(root: Value, assignment: Assignment): Value {
  return assignFrom(root, assignment, 0);
}

function assignFrom(current: Value | undefined, assignment: Assignment, depth: number): Value {
  const step = assignment.path[depth];
  if (step === undefined) return assignment.value;
  const fail = (why: string): MeshError => {
    const done = pathText(assignment.path.slice(0, depth));
    return new MeshError('MESH0301', `--set ${assignment.source}: ${why}${done === '' ? '' : ` at ${done}`}`);
  };
  if (step.what === 'key') {
    if (current !== undefined && current !== null && !isMap(current)) {
      throw fail(`"${step.key}" cannot be set inside a ${Array.isArray(current) ? 'list' : 'single value'}`);
    }
    const map = isMap(current) ? current : {};
    const below = Object.hasOwn(map, step.key) ? map[step.key] : undefined;
    return { ...map, [step.key]: assignFrom(below, assignment, depth + 1) };
  }
  if (current !== undefined && current !== null && !Array.isArray(current)) throw fail('not a list');
  const list = Array.isArray(current) ? [...(current as readonly Value[])] : [];
  if (step.what === 'select') {
    const at = list.findIndex((e) => isMap(e) && scalarText(e[step.field]) === step.value);
    if (at < 0) throw fail(`no element with ${step.field} "${step.value}" given so far`);
    list[at] = assignFrom(list[at], assignment, depth + 1);
    return list;
  }
  if (step.index > list.length) {
    throw fail(`index ${step.index} leaves a gap; the next free one is ${list.length}`);
  }
  list[step.index] = assignFrom(list[step.index], assignment, depth + 1);
  return list;
}

function findEquals(source: string): number {
  let depth = 0;
  for (let i = 0; i < source.length; i++) {
    const c = source[i];
    if (c === '\\') i++;
    else if (c === '[') depth++;
    else if (c === ']') depth = Math.max(0, depth - 1);
    else if (c === '=' && depth === 0) return i;
  }
  // A bracket that never closes hides every "=": the first one lets the path parser name the bracket.
  return source.indexOf('=');
}

function parsePath(source: string, text: string): PathStep[] {
  const fail = (why: string, at: number): MeshError =>
    new MeshError('MESH0301', `--set ${source}: ${why} at character ${at + 1} of the path`);
  const steps: PathStep[] = [];
  let i = 0;
  let isStepExpected = true;
  while (i < text.length) {
    const c = text[i];
    if (c === '.') {
      if (isStepExpected) throw fail('empty name', i);
      isStepExpected = true;
      i++;
    } else if (c === '[') {
      const end = text.indexOf(']', i);
      if (end < 0) throw fail('"[" without "]"', i);
      steps.push(parseBracket(text.slice(i + 1, end), i, fail));
      isStepExpected = false;
      i = end + 1;
    } else {
      if (!isStepExpected) throw fail('"." expected', i);
      let key = '';
      for (; i < text.length && text[i] !== '.' && text[i] !== '['; i++) {
        if (text[i] === '\\' && i + 1 < text.length) i++;
        else if (text[i] === ']') throw fail('"]" without "["', i);
        key += text[i];
      }
      // Keys of the object prototype are never values.
      if (key === '__proto__') throw fail('"__proto__" is no name', i - key.length);
      steps.push({ what: 'key', key });
      isStepExpected = false;
    }
  }
  if (steps.length === 0 || isStepExpected) throw fail('empty name', text.length);
  return steps;
}

function parseBracket(inside: string, at: number, fail: (why: string, at: number) => MeshError): PathStep {
  if (/^\d+$/.test(inside)) {
    const index = Number(inside);
    if (index > indexMax) throw fail(`index above ${indexMax}`, at);
    return { what: 'index', index };
  }
  const select = /^([^:]+):(.+)$/.exec(inside);
  if (select?.[1] !== undefined && select[2] !== undefined) {
    return { what: 'select', field: select[1], value: unescape(select[2]) };
  }
  throw fail(`"[${inside}]" is neither an index nor [field:value]`, at);
}

/** The type a person means: whole and decimal numbers, true, false, null, `{a,b}`; everything else is text. */
export function inferValue(text: string): Value {
  if (text === 'true') return true;
  if (text === 'false') return false;
  if (text === 'null') return null;
  // No leading zeros, exponents or signs of infinity: 007, 1e5 and inf are names more often than numbers.
  if (/^-?(0|[1-9]\d*)(\.\d+)?$/.test(text)) {
    const number = Number(text);
    if (Number.isSafeInteger(number) || text.includes('.')) return number;
  }
  if (text.startsWith('{') && text.endsWith('}')) {
    const inner = text.slice(1, -1).trim();
    return inner === '' ? [] : splitUnescaped(inner).map((part) => inferValue(part.trim()));
  }
  return unescape(text);
}

function splitUnescaped(text: string): string[] {
  return text.split(/(?<!\\),/);
}

function unescape(text: string): string {
  return text.replace(/\\([,.[\]{}])/g, '$1');
}

function stepName(step: PathStep): string {
  if (step.what === 'key') return step.key;
  return step.what === 'index' ? String(step.index) : `${step.field}:${step.value}`;
}

/** A path as people write it. */
export function pathText(path: readonly PathStep[]): string {
  return path.reduce((text, step) => {
    if (step.what !== 'key') return `${text}[${stepName(step)}]`;
    return text === '' ? step.key : `${text}.${step.key}`;
  }, '');
}
