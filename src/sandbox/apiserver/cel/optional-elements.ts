import { type Environment, Optional, type ParseResult } from '@marcbachmann/cel-js';
import type { CelChecker, CelContext, CelEvaluator } from './library-types.js';
import { type CelNode, eachNode, isNode } from './library-types.js';
import { prepareSource } from './source.js';

type Evaluate = (evaluator: CelEvaluator, node: CelNode, context: CelContext) => unknown;

/** What the library's nodes let others change. */
interface ChangeableNode extends CelNode {
  args: unknown;
  readonly start: number;
  readonly meta: { readonly evaluate: Evaluate };
  setMeta(key: 'evaluate' | 'macro' | 'async', value: unknown): unknown;
}

/** Stands in a list or map for an optional element that has no value, until it is taken out. */
const absent = Symbol('absent');

/** Parses an expression, also one with optional elements: `[?x]` and `{?k: v}`. Throws the library's ParseError. */
export function parseSource(environment: Environment, source: string): ParseResult {
  const { text, optionalElements } = prepareSource(source);
  const parsed = environment.parse(text);
  if (optionalElements.size > 0) {
    eachNode(parsed.ast, (node) => {
      if (node.op === 'list' || node.op === 'map') makeOptional(node as ChangeableNode, optionalElements);
    });
  }
  return parsed;
}

/** Gives the marked elements of a list or map literal their meaning. */
function makeOptional(literal: ChangeableNode, marks: ReadonlySet<number>): void {
  const elements = literal.args as unknown[];
  let hasOptional = false;
  elements.forEach((element, i) => {
    const [first, value] = Array.isArray(element) ? (element as [unknown, unknown]) : [element, undefined];
    const found = withoutMark(first, marks);
    if (found === undefined) return;
    hasOptional = true;
    const optional = optionalOf(found.mark, value ?? found.rest);
    elements[i] = Array.isArray(element) ? [found.rest, optional] : optional;
  });
  if (!hasOptional) return;
  const { evaluate } = literal.meta;
  literal.setMeta('evaluate', (evaluator: CelEvaluator, node: CelNode, context: CelContext) =>
    withoutAbsent(evaluate(evaluator, node, context)),
  );
}

/** An element without the mark it begins with, which binds closer than the rest of it; undefined when there is none. */
function withoutMark(
  element: unknown,
  marks: ReadonlySet<number>,
): { mark: ChangeableNode; rest: CelNode } | undefined {
  let parent: unknown[] | undefined;
  let node = element;
  while (isNode(node)) {
    const current = node as ChangeableNode;
    if (current.op === '!_' && marks.has(current.start)) {
      const operand = current.args as CelNode;
      if (parent === undefined) return { mark: current, rest: operand };
      parent[0] = operand;
      return { mark: current, rest: element as CelNode };
    }
    if (!Array.isArray(current.args)) return undefined;
    parent = current.args;
    [node] = parent;
  }
  return undefined;
}

/** Makes the node of a mark stand for the value of an optional, if it has one. */
function optionalOf(mark: ChangeableNode, value: unknown): CelNode {
  const operand = value as CelNode;
  mark.args = operand;
  mark.setMeta('async', false);
  mark.setMeta('macro', {
    typeCheck: (checker: CelChecker, _macro: unknown, context: CelContext) => {
      const type = checker.check(operand, context);
      if (type.kind === 'optional') return type.valueType ?? checker.getType('dyn');
      if (type.kind === 'dyn') return type;
      throw checker.createError(
        'optional_expected',
        `expected type 'optional_type(${type.name})' but found '${type.name}'`,
        operand,
      );
    },
    evaluate: (evaluator: CelEvaluator, _macro: unknown, context: CelContext) => {
      const result = evaluator.run(operand, context);
      if (!(result instanceof Optional))
        throw evaluator.createError(
          'optional_expected',
          'no such overload: ?element of no optional',
          operand,
        );
      return result.hasValue() ? result.value() : absent;
    },
  });
  return mark;
}

function withoutAbsent(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((v) => v !== absent);
  if (value instanceof Map) {
    for (const [key, v] of value) if (v === absent) value.delete(key);
    return value;
  }
  return Object.fromEntries(Object.entries(value as object).filter(([, v]) => v !== absent));
}
