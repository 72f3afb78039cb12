import { Optional } from '@marcbachmann/cel-js';
import type { CelChecker, CelContext, CelEvaluator, CelNode, MacroCall } from './library-types.js';

interface HasMacro {
  readonly select: CelNode;
  typeCheck(checker: CelChecker, macro: HasMacro, context: CelContext): unknown;
  evaluate(evaluator: CelEvaluator, macro: HasMacro, context: CelContext): boolean;
}

/** `has(e.f)` for any expression `e`: whether the field is there. */
export function hasMacro({ args }: MacroCall): HasMacro {
  return {
    select: args[0] as CelNode,
    typeCheck: (checker, { select }, context) => {
      if (select.op !== '.' && select.op !== '.?') {
        throw checker.createError('invalid_macro_argument', 'invalid argument to has() macro', select);
      }
      checker.check(select, context);
      return checker.getType('bool');
    },
    evaluate: (evaluator, { select }, context) => {
      const [operand, field] = select.args as [CelNode, string];
      let value = evaluator.run(operand, context);
      if (value instanceof Optional) {
        if (!value.hasValue()) return false;
        value = value.value();
      }
      if (value instanceof Map) return value.get(field) !== undefined;
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
        const known = value as Readonly<Record<string, unknown>>;
        return field in known && known[field] !== undefined;
      }
      throw evaluator.createError(
        'no_such_overload',
        `no such overload: has() on something without fields`,
        select,
      );
    },
  };
}

interface OptionalMapMacro {
  readonly receiver: CelNode;
  readonly variable: string;
  readonly body: CelNode;
  readonly isFlat: boolean;
  inner: CelContext | undefined;
  typeCheck(checker: CelChecker, macro: OptionalMapMacro, context: CelContext): unknown;
  evaluate(evaluator: CelEvaluator, macro: OptionalMapMacro, context: CelContext): unknown;
}

/** `optional.optMap(v, e)` and `optional.optFlatMap(v, e)`. */
export function optionalMapMacro(isFlat: boolean): (call: MacroCall) => OptionalMapMacro {
  return ({ args, receiver }) => ({
    receiver: receiver as CelNode,
    variable: (args[0] as CelNode).op === 'id' ? String((args[0] as CelNode).args) : '',
    body: args[1] as CelNode,
    isFlat,
    inner: undefined,
    typeCheck: (checker, macro, context) => {
      if (macro.variable === '') {
        throw checker.createError(
          'invalid_macro_argument',
          'optMap() variable name must be a simple identifier',
          macro.receiver,
        );
      }
      const outer = checker.check(macro.receiver, context);
      macro.inner = context.forkWithVariable(macro.variable, outer.valueType ?? checker.getType('dyn'));
      const type = checker.check(macro.body, macro.inner);
      return macro.isFlat ? type : checker.getType('optional');
    },
    evaluate: (evaluator, macro, context) => {
      const value = evaluator.run(macro.receiver, context);
      if (!(value instanceof Optional) || macro.inner === undefined) {
        throw evaluator.createError(
          'optional_expected',
          'no such overload: optMap() of no optional',
          macro.receiver,
        );
      }
      if (!value.hasValue()) return Optional.none();
      const inner = macro.inner.reuse(context).setIterValue(value.value(), evaluator);
      const result = evaluator.run(macro.body, inner);
      return macro.isFlat ? result : Optional.of(result);
    },
  });
}
