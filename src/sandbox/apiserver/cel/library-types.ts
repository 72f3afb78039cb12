/**
 * The parts of the CEL library's inner objects that macros and cost accounting
 * touch. The library hands them to macros but does not declare their types.
 */
export interface CelType {
  readonly kind: string;
  readonly name: string;
  readonly valueType?: CelType;
}

/** A node of a parsed expression; nodes evaluate themselves. */
export interface CelNode {
  readonly op: string;
  readonly args: unknown;
  readonly evaluate: (evaluator: CelEvaluator, node: unknown, context: CelContext) => unknown;
}

export interface CelContext {
  forkWithVariable(name: string, type: CelType): CelContext;
  reuse(outer: CelContext): CelContext;
  setIterValue(value: unknown, evaluator: CelEvaluator): CelContext;
}

export interface CelChecker {
  check(node: CelNode, context: CelContext): CelType;
  getType(name: string): CelType;
  createError(code: string, message: string, node: CelNode): Error;
}

export interface CelEvaluator {
  run(node: CelNode, context: CelContext): unknown;
  createError(code: string, message: string, node: CelNode): Error;
}

/** What a macro is expanded from. */
export interface MacroCall {
  readonly args: readonly unknown[];
  readonly receiver: unknown;
}

/** Whether a value is a node; arguments of nodes are nodes, names, literals and lists of these. */
export function isNode(value: unknown): value is CelNode {
  return (
    typeof value === 'object' && value !== null && 'op' in value && 'args' in value && 'evaluate' in value
  );
}

/** Calls back for a node and everything below it. */
export function eachNode(value: unknown, visit: (node: CelNode) => void): void {
  if (Array.isArray(value)) {
    for (const v of value) eachNode(v, visit);
  } else if (isNode(value)) {
    visit(value);
    eachNode(value.args, visit);
  }
}
