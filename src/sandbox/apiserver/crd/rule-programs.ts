import type { Environment } from '@marcbachmann/cel-js';
import { newEnvironment } from '../cel/environment.js';
import { CompileProblem, compileExpression, type Expression, type ResultType } from '../cel/expression.js';

const programs = new Map<string, Expression | CompileProblem>();
const programsMax = 4096;
let environment: Environment | undefined;

/**
 * A rule ready to run on values of any shape. Its types were checked against
 * the schema when the definition was written (rule-checks.ts).
 */
export function ruleProgram(source: string, result: ResultType): Expression | CompileProblem {
  const key = `${result}:${source}`;
  const known = programs.get(key);
  if (known !== undefined) return known;
  environment ??= newEnvironment().registerVariable('self', 'dyn').registerVariable('oldSelf', 'dyn');
  const program = compileExpression(environment, source, result);
  if (programs.size >= programsMax) programs.clear();
  programs.set(key, program);
  return program;
}

/** Whether a rule compares with the previous value. */
export function usesOldSelf(source: string): boolean {
  const program = ruleProgram(source, 'bool');
  return !(program instanceof CompileProblem) && program.identifiers.has('oldSelf');
}
