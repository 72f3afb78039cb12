import type { Environment } from '@marcbachmann/cel-js';
import { newEnvironment } from '../cel/environment.js';
import { CompileProblem, compileExpression, type Expression, type ResultType } from '../cel/expression.js';

const programs = new Map<string, Expression | CompileProblem>();
const programsMax = 4096;
let plain: Environment | undefined;
let optional: Environment | undefined;

/**
 * A rule ready to run on values of any shape. Its types were checked against
 * the schema when the definition was written (rule-checks.ts).
 */
export function ruleProgram(
  source: string,
  result: ResultType,
  hasOptionalOld = false,
): Expression | CompileProblem {
  const key = `${result}:${hasOptionalOld}:${source}`;
  const known = programs.get(key);
  if (known !== undefined) return known;
  plain ??= newEnvironment().registerVariable('self', 'dyn').registerVariable('oldSelf', 'dyn');
  optional ??= newEnvironment().registerVariable('self', 'dyn').registerVariable('oldSelf', 'optional<dyn>');
  const program = compileExpression(hasOptionalOld ? optional : plain, source, result);
  if (programs.size >= programsMax) programs.clear();
  programs.set(key, program);
  return program;
}

/** Whether a rule compares with the previous value. */
export function usesOldSelf(source: string): boolean {
  const program = ruleProgram(source, 'bool');
  return !(program instanceof CompileProblem) && program.identifiers.has('oldSelf');
}
