import { newEnvironment } from '../cel/environment.js';
import { CompileProblem, compileExpression, wrongResult } from '../cel/expression.js';
import { SchemaTypes } from '../cel/schema-types.js';
import { type FieldError, fieldError } from '../api-error.js';
import type { CelRule, Schema } from '../schema/schema.js';

const reasons = ['FieldValueDuplicate', 'FieldValueForbidden', 'FieldValueInvalid', 'FieldValueRequired'];
const messageMaxLength = 2048;

interface Place {
  readonly path: string;
  readonly isRoot: boolean;
  /** Whether the old value of this part can be told: not below lists without keys. */
  readonly isCorrelatable: boolean;
}

/**
 * Problems of the CEL rules anywhere in a schema, types included. A rule that
 * cannot run must not be accepted.
 */
export function ruleErrors(schema: Schema, path: string): FieldError[] {
  const errors: FieldError[] = [];
  walk(schema, { path, isRoot: true, isCorrelatable: true }, errors);
  return errors;
}

function walk(schema: Schema, place: Place, errors: FieldError[]): void {
  if (schema.rules !== undefined && schema.rules.length > 0) checkRules(schema, schema.rules, place, errors);
  const below = (child: Schema, path: string, isCorrelatable = place.isCorrelatable): void =>
    walk(child, { path, isRoot: false, isCorrelatable }, errors);
  for (const [key, child] of Object.entries(schema.properties ?? {})) {
    below(child, `${place.path}.properties[${key}]`);
  }
  if (typeof schema.additionalProperties === 'object') {
    below(schema.additionalProperties, `${place.path}.additionalProperties`);
  }
  if (schema.items !== undefined) {
    below(schema.items, `${place.path}.items`, place.isCorrelatable && schema.listType === 'map');
  }
}

function checkRules(schema: Schema, rules: readonly CelRule[], place: Place, errors: FieldError[]): void {
  const environment = newEnvironment();
  const type = new SchemaTypes(environment).typeOf(schema, place.isRoot);
  environment.registerVariable('self', type);
  const plain = environment.clone().registerVariable('oldSelf', type);
  const optional = environment.clone().registerVariable('oldSelf', `optional<${type}>`);
  rules.forEach((rule, i) => {
    const at = `${place.path}.x-kubernetes-validations[${i}]`;
    errors.push(...textErrors(rule, at, schema));
    if (rule.rule.trim() === '') return;
    const scope = rule.optionalOldSelf === true ? optional : plain;
    const program = compileExpression(scope, rule.rule, 'bool');
    if (program instanceof CompileProblem) {
      const isWrongResult = program.message.startsWith(wrongResult);
      errors.push(
        ruleProblem(
          rule,
          `${at}.rule`,
          isWrongResult ? 'cel expression must evaluate to a bool' : program.message,
        ),
      );
    } else if (program.identifiers.has('oldSelf') && !place.isCorrelatable) {
      errors.push(
        fieldError.invalid(
          `${at}.rule`,
          rule.rule,
          'oldSelf cannot be used on the uncorrelatable portion of the schema within '.concat(
            place.path.replace(/\.items$/, ''),
          ),
        ),
      );
    } else if (rule.optionalOldSelf === true && !program.identifiers.has('oldSelf')) {
      errors.push(
        fieldError.invalid(`${at}.optionalOldSelf`, true, 'may not be set if oldSelf is not used in rule'),
      );
    }
    if (rule.messageExpression === undefined || rule.messageExpression.trim() === '') return;
    const message = compileExpression(scope, rule.messageExpression, 'string');
    if (message instanceof CompileProblem) {
      errors.push(
        ruleProblem(
          rule,
          `${at}.messageExpression`,
          message.message.startsWith(wrongResult)
            ? 'messageExpression must evaluate to a string'
            : `messageExpression ${message.message}`,
        ),
      );
    }
  });
}

/** A problem with the rule shown as Kubernetes shows it. */
function ruleProblem(rule: CelRule, field: string, detail: string): FieldError {
  const text = (value: string | undefined): string => JSON.stringify(value ?? '');
  const pointer = (type: string, value: unknown): string =>
    `(*${type})(${value === undefined ? 'nil' : JSON.stringify(value)})`;
  const fields = [
    `Rule:${text(rule.rule)}`,
    `Message:${text(rule.message)}`,
    `MessageExpression:${text(rule.messageExpression)}`,
    `Reason:${pointer('apiextensions.FieldValueErrorReason', rule.reason)}`,
    `FieldPath:${text(rule.fieldPath)}`,
    `OptionalOldSelf:${pointer('bool', rule.optionalOldSelf === true ? true : undefined)}`,
  ];
  return {
    reason: 'FieldValueInvalid',
    field,
    message: `Invalid value: apiextensions.ValidationRule{${fields.join(', ')}}: ${detail}`,
  };
}

function textErrors(rule: CelRule, at: string, schema: Schema): FieldError[] {
  const errors: FieldError[] = [];
  if (rule.rule.trim() === '') errors.push(fieldError.required(`${at}.rule`, 'rule is not specified'));
  const { message } = rule;
  if (message !== undefined) {
    if (message.length > 0 && message.trim() === '') {
      errors.push(fieldError.invalid(`${at}.message`, message, 'message must be non-empty if specified'));
    } else if (/[\r\n]/.test(message.trim())) {
      errors.push(fieldError.invalid(`${at}.message`, message, 'message must not contain line breaks'));
    }
    if (message.length > messageMaxLength) errors.push(fieldError.tooLong(`${at}.message`, messageMaxLength));
  }
  if (/[\r\n]/.test(rule.rule.trim()) && (message ?? '') === '') {
    errors.push(
      fieldError.required(`${at}.message`, 'message must be specified if rule contains line breaks'),
    );
  }
  if (rule.messageExpression !== undefined && rule.messageExpression.trim() === '') {
    errors.push(fieldError.required(`${at}.messageExpression`, 'must be non-empty if specified'));
  }
  if (rule.reason !== undefined && !reasons.includes(rule.reason)) {
    errors.push(fieldError.notSupported(`${at}.reason`, rule.reason, reasons));
  }
  if (rule.fieldPath !== undefined && !isPathIn(schema, rule.fieldPath)) {
    errors.push(fieldError.invalid(`${at}.fieldPath`, rule.fieldPath, 'fieldPath must be a valid path'));
  }
  return errors;
}

/** Whether `.a.b['c']` names a field under a schema. */
function isPathIn(schema: Schema, path: string): boolean {
  let rest = path;
  let current: Schema | undefined = schema;
  while (rest !== '') {
    const step = /^\.([A-Za-z_]\w*)|^\[['"]((?:[^'"\\]|\\.)*)['"]\]/.exec(rest);
    if (step === null || current === undefined) return false;
    const key: string = step[1] ?? step[2] ?? '';
    const own: Schema | undefined =
      current.properties !== undefined && Object.hasOwn(current.properties, key)
        ? current.properties[key]
        : undefined;
    const extra: Schema | true | undefined = current.additionalProperties;
    current = own ?? (typeof extra === 'object' ? extra : undefined);
    if (current === undefined) return false;
    rest = rest.slice(step[0].length);
  }
  return path !== '';
}
