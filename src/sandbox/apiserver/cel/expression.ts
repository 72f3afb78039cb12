import type { Environment, ParseResult } from '@marcbachmann/cel-js';
import { charge, type CostBudget, CostExceeded, sizeCost, spending } from './budget.js';
import { type CelNode, eachNode } from './library-types.js';
import { parseSource } from './optional-elements.js';
import { withOriginals } from './source.js';

/** A CEL expression ready to run. */
export interface Expression {
  readonly source: string;
  /** The variables it reads. */
  readonly identifiers: ReadonlySet<string>;
  /** Fields that it selects directly on variables, as `variable.field`. */
  readonly selections: ReadonlySet<string>;
  /** Throws EvaluationFailure or CostExceeded. */
  evaluate(context: Readonly<Record<string, unknown>>, budget: CostBudget): unknown;
}

/** Why an expression cannot be used, in the words and layout of cel-go. */
export class CompileProblem extends Error {
  override readonly name = 'CompileProblem';
}

/** An evaluation that ended in an error value. */
export class EvaluationFailure extends Error {
  override readonly name = 'EvaluationFailure';
}

/** How the problem of an expression begins that is right but for the type of its result. */
export const wrongResult = 'must evaluate to ';

export type ResultType = 'bool' | 'string' | 'any';

/** Parses an expression and checks its types against an environment. */
export function compileExpression(
  environment: Environment,
  source: string,
  result: ResultType = 'any',
): Expression | CompileProblem {
  let parsed: ParseResult;
  try {
    parsed = parseSource(environment, source);
  } catch (error) {
    return problemOf(environment, source, error);
  }
  const checked = parsed.check();
  if (!checked.valid) return problemOf(environment, source, checked.error);
  const type = checked.type ?? 'dyn';
  if (result !== 'any' && type !== result && type !== 'dyn') {
    return new CompileProblem(`${wrongResult}${result} but got ${typeText(type)}`);
  }
  const identifiers = new Set<string>();
  const selections = new Set<string>();
  eachNode(parsed.ast, (node) => {
    if (node.op === 'id') identifiers.add(String(node.args));
    if (node.op === '.' || node.op === '.?') {
      const [operand, field] = node.args as [CelNode, unknown];
      if (operand.op === 'id') selections.add(`${String(operand.args)}.${String(field)}`);
    }
    meter(node);
  });
  return {
    source,
    identifiers,
    selections,
    evaluate: (context, budget) =>
      spending(budget, () => {
        try {
          return parsed(context) as unknown;
        } catch (error) {
          if (error instanceof CostExceeded || budget.isExceeded) throw new CostExceeded();
          throw new EvaluationFailure(evaluationText(error));
        }
      }),
  };
}

/** Makes a node charge the running budget for itself and for what it makes. */
function meter(node: CelNode): void {
  let evaluate = node.evaluate;
  const makes = node.op === '+' || node.op === 'call' || node.op === 'rcall';
  const compares = node.op === '==' || node.op === '!=' || node.op === 'in';
  const metered: CelNode['evaluate'] = (evaluator, self, context) => {
    charge(1);
    const result = evaluate.call(node, evaluator, self, context);
    if (makes) {
      if (typeof result === 'string') charge(sizeCost(result.length));
      else if (Array.isArray(result)) charge(result.length);
    } else if (compares) charge(1);
    return result;
  };
  // The library replaces a node's evaluate by a faster one on first use: keep what it sets, behind the meter.
  Object.defineProperty(node, 'evaluate', {
    configurable: true,
    get: () => metered,
    set: (next: CelNode['evaluate']) => {
      evaluate = next;
    },
  });
}

interface LibraryError {
  readonly code?: string;
  readonly summary?: string;
  readonly range?: { readonly start: number };
  /** The node it is about. */
  readonly node?: { readonly args?: unknown };
  readonly message: string;
}

function summaryOf(error: unknown): LibraryError {
  return error instanceof Error ? (error as LibraryError) : { message: String(error) };
}

/** What a failed conversion of a text was to become, by the library's error code. */
const conversions: Readonly<Record<string, string>> = {
  bool_conversion_error: 'bool',
  double_conversion_error: 'double',
  int_conversion_error: 'int',
  uint_conversion_error: 'uint',
  invalid_duration: 'google.protobuf.Duration',
  invalid_timestamp: 'google.protobuf.Timestamp',
};

function evaluationText(error: unknown): string {
  const { code, summary, message } = summaryOf(error);
  const text = withOriginals(summary ?? message.split('\n')[0] ?? '');
  const target = conversions[code ?? ''];
  if (target !== undefined) return `type conversion error from 'string' to '${target}'`;
  if (code === 'no_such_key') return text.replace(/^No such key: /, 'no such key: ');
  return code === 'index_out_of_bounds'
    ? text.replace(/^No such key: index out of bounds, index (\S+) .*$/, 'index out of bounds: $1')
    : text;
}

/** Type names as cel-go writes them: list(string), not list<string>. */
function typeText(name: string): string {
  return name.replaceAll('<', '(').replaceAll('>', ')').replaceAll('optional(', 'optional_type(');
}

/** What a type check found, and how far from the library's position cel-go sees it. */
function checkText(
  environment: Environment,
  error: LibraryError,
  source: string,
): { text: string; shift: number } {
  const text = withOriginals(error.summary ?? error.message.split('\n')[0] ?? '');
  const start = error.range?.start ?? 0;
  switch (error.code) {
    case 'no_such_key':
      // The position is that of the dot.
      return { text: text.replace(/^No such key: (.*)$/, "undefined field '$1'"), shift: -1 };
    case 'cannot_index_type':
      return {
        text: text.replace(/^Cannot index type '(.*)'$/, "type '$1' does not support field selection"),
        shift: -1,
      };
    case 'unknown_variable':
      return {
        text: text.replace(/^Unknown variable: (.*)$/, "undeclared reference to '$1' (in container '')"),
        shift: 0,
      };
    case 'no_matching_overload': {
      const call = /^found no matching overload for '(?:(.*)\.)?(\w+)\((.*)\)'$/.exec(text);
      if (call === null) return { text, shift: 0 };
      const [, receiver, name = '', args = ''] = call;
      const parenthesis = source.indexOf('(', start);
      const shift = parenthesis < 0 ? 0 : parenthesis - start;
      const isKnown = functionNames(environment).has(name);
      if (!isKnown) return { text: `undeclared reference to '${name}' (in container '')`, shift };
      const applied = `${receiver === undefined ? '' : `${typeText(receiver)}.`}(${typeText(args)})`;
      return { text: `found no matching overload for '${name}' applied to '${applied}'`, shift };
    }
    case 'no_such_overload': {
      const binary = /^no such overload: (.+) (\S+) (.+)$/.exec(text);
      if (binary !== null) {
        const [, left = '', operator = '', right = ''] = binary;
        const name = operator === 'in' ? '@in' : `_${operator}_`;
        return {
          text: `found no matching overload for '${name}' applied to '(${typeText(left)}, ${typeText(right)})'`,
          shift: source.indexOf(operator, leftEnd(error) ?? start) - start,
        };
      }
      const unary = /^no such overload: ([-!])(.+)$/.exec(text);
      if (unary === null) return { text, shift: 0 };
      return {
        text: `found no matching overload for '${unary[1]}_' applied to '(${typeText(unary[2] ?? '')})'`,
        shift: 0,
      };
    }
    default:
      return { text, shift: 0 };
  }
}

/** Where the left operand of the node of an error ends: its operator follows. */
function leftEnd({ node }: LibraryError): number | undefined {
  const left: unknown = Array.isArray(node?.args) ? node.args[0] : undefined;
  if (typeof left !== 'object' || left === null || !('end' in left)) return undefined;
  return typeof left.end === 'number' ? left.end : undefined;
}

const names = new WeakMap<Environment, ReadonlySet<string>>();

function functionNames(environment: Environment): ReadonlySet<string> {
  const known =
    names.get(environment) ??
    new Set(environment.getDefinitions().functions.map((f) => withOriginals(f.name)));
  names.set(environment, known);
  return known;
}

function problemOf(environment: Environment, source: string, cause: unknown): CompileProblem {
  const error = summaryOf(cause);
  const isSyntax = cause instanceof Error && cause.name === 'ParseError';
  const { text, shift } = isSyntax
    ? { text: `Syntax error: ${withOriginals(error.summary ?? error.message)}`, shift: 0 }
    : checkText(environment, error, source);
  const at = Math.max(0, Math.min((error.range?.start ?? 0) + shift, source.length));
  const before = source.slice(0, at).split('\n');
  const column = before.at(-1)?.length ?? 0;
  const line = source.split('\n')[before.length - 1] ?? '';
  return new CompileProblem(
    `compilation failed: ERROR: <input>:${before.length}:${column + 1}: ${text}\n | ${line}\n | ${'.'.repeat(column)}^`,
  );
}
