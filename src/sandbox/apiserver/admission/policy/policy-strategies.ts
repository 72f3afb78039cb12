import { CompileProblem, compileExpression, type ResultType } from '../../cel/expression.js';
import { policyEnvironment, undeclaredVariables } from './policy.js';
import { type FieldError, fieldError } from '../../api-error.js';
import { isObject, type JsonObject, objectOf, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { keyProblem } from '../../registry/names.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { choiceErrors, conditionErrors, matchRuleErrors } from '../webhook/webhook-strategies.js';

const reasons = ['Forbidden', 'Invalid', 'RequestEntityTooLarge'];

function matchDefaults(match: JsonObject): void {
  match.matchPolicy ??= 'Equivalent';
  match.namespaceSelector ??= {};
  match.objectSelector ??= {};
  for (const rule of [...objectsOf(match.resourceRules), ...objectsOf(match.excludeResourceRules)])
    rule.scope ??= '*';
}

function matchErrors(match: JsonObject, at: string): FieldError[] {
  return [
    ...choiceErrors(match.matchPolicy, `${at}.matchPolicy`, ['Equivalent', 'Exact']),
    ...matchRuleErrors(match.resourceRules, `${at}.resourceRules`),
    ...matchRuleErrors(match.excludeResourceRules, `${at}.excludeResourceRules`),
  ];
}

/** Compiles an expression of a policy; variables must be declared before they are used. */
type Compile = (source: string, result: ResultType) => CompileProblem | undefined;

function compilerOf(spec: JsonObject): { compile: Compile; declare: (name: string) => void } {
  const environment = policyEnvironment({
    params: isObject(spec.paramKind),
    variables: objectsOf(spec.variables).length > 0,
  });
  const declared = new Set<string>();
  return {
    declare: (name) => declared.add(name),
    compile: (source, result) => {
      const compiled = compileExpression(environment, source, result);
      if (compiled instanceof CompileProblem) return compiled;
      const [unknown] = undeclaredVariables(compiled, declared);
      if (unknown === undefined) return undefined;
      const at = source.indexOf(`variables.${unknown}`) + 'variables'.length;
      const marker = `${'.'.repeat(Math.max(0, at))}^`;
      return new CompileProblem(
        `compilation failed: ERROR: <input>:1:${at + 1}: undefined field '${unknown}'\n | ${source}\n | ${marker}`,
      );
    },
  };
}

function expressionErrors(source: string, at: string, result: ResultType, compile: Compile): FieldError[] {
  if (source.trim() === '') return [fieldError.required(at, 'expression is not specified')];
  const problem = compile(source, result);
  return problem === undefined ? [] : [fieldError.invalid(at, source, problem.message)];
}

function variableErrors(spec: JsonObject, compile: Compile, declare: (name: string) => void): FieldError[] {
  return objectsOf(spec.variables).flatMap((variable, i) => {
    const at = `spec.variables[${i}]`;
    const name = stringOf(variable.name);
    const errors = /^[A-Za-z_]\w*$/.test(name)
      ? []
      : [
          name === ''
            ? fieldError.required(`${at}.name`, 'name is not specified')
            : fieldError.invalid(`${at}.name`, name, 'name is not a valid CEL identifier'),
        ];
    errors.push(...expressionErrors(stringOf(variable.expression), `${at}.expression`, 'any', compile));
    declare(name);
    return errors;
  });
}

function validationErrors(validation: JsonObject, at: string, compile: Compile): FieldError[] {
  const errors = expressionErrors(stringOf(validation.expression), `${at}.expression`, 'bool', compile);
  const { message, messageExpression, reason } = validation;
  const text = stringOf(message);
  if (typeof message === 'string' && text.length > 0 && text.trim() === '') {
    errors.push(fieldError.invalid(`${at}.message`, message, 'message must be non-empty if specified'));
  } else if (/[\r\n]/.test(text.trim())) {
    errors.push(fieldError.invalid(`${at}.message`, message, 'message must not contain line breaks'));
  }
  if (typeof messageExpression === 'string') {
    errors.push(...expressionErrors(messageExpression, `${at}.messageExpression`, 'string', compile));
  }
  return [...errors, ...choiceErrors(reason, `${at}.reason`, reasons)];
}

function auditErrors(annotation: JsonObject, at: string, compile: Compile): FieldError[] {
  const key = stringOf(annotation.key);
  const problem = key === '' ? 'name part must be non-empty' : keyProblem(key);
  return [
    ...(problem === undefined ? [] : [fieldError.invalid(`${at}.key`, key, problem)]),
    ...expressionErrors(stringOf(annotation.valueExpression), `${at}.valueExpression`, 'any', compile),
  ];
}

function policyErrors(policy: ApiObject): FieldError[] {
  const spec = specOf(policy);
  const errors: FieldError[] = [];
  const { compile, declare } = compilerOf(spec);
  errors.push(...choiceErrors(spec.failurePolicy, 'spec.failurePolicy', ['Fail', 'Ignore']));
  if (isObject(spec.paramKind)) {
    for (const key of ['apiVersion', 'kind']) {
      if (stringOf(spec.paramKind[key]) === '') errors.push(fieldError.required(`spec.paramKind.${key}`));
    }
  }
  if (!isObject(spec.matchConstraints)) errors.push(fieldError.required('spec.matchConstraints'));
  else {
    errors.push(...matchErrors(spec.matchConstraints, 'spec.matchConstraints'));
    if (objectsOf(spec.matchConstraints.resourceRules).length === 0) {
      errors.push(fieldError.required('spec.matchConstraints.resourceRules'));
    }
  }
  errors.push(
    ...conditionErrors(spec.matchConditions, 'spec.matchConditions', (source) => compile(source, 'bool')),
  );
  errors.push(...variableErrors(spec, compile, declare));
  const validations = objectsOf(spec.validations);
  const annotations = objectsOf(spec.auditAnnotations);
  if (validations.length === 0 && annotations.length === 0) {
    const text = 'validations or auditAnnotations must contain at least one item';
    errors.push(
      fieldError.required('spec.validations', text),
      fieldError.required('spec.auditAnnotations', text),
    );
  }
  validations.forEach((v, i) => errors.push(...validationErrors(v, `spec.validations[${i}]`, compile)));
  annotations.forEach((a, i) => errors.push(...auditErrors(a, `spec.auditAnnotations[${i}]`, compile)));
  return errors;
}

function paramRefErrors(ref: JsonObject): FieldError[] {
  const at = 'spec.paramRef';
  const errors: FieldError[] = [];
  const hasName = stringOf(ref.name) !== '';
  const hasSelector = isObject(ref.selector);
  if (hasName && hasSelector) {
    const text = 'name and selector are mutually exclusive';
    errors.push(fieldError.forbidden(`${at}.name`, text), fieldError.forbidden(`${at}.selector`, text));
  } else if (!hasName && !hasSelector)
    errors.push(fieldError.required(at, 'one of name or selector must be specified'));
  if (ref.parameterNotFoundAction === undefined) {
    errors.push(fieldError.required(`${at}.parameterNotFoundAction`));
  } else {
    errors.push(
      ...choiceErrors(ref.parameterNotFoundAction, `${at}.parameterNotFoundAction`, ['Deny', 'Allow']),
    );
  }
  return errors;
}

function bindingErrors(binding: ApiObject): FieldError[] {
  const spec = specOf(binding);
  const errors: FieldError[] = [];
  if (stringOf(spec.policyName) === '') errors.push(fieldError.required('spec.policyName'));
  if (isObject(spec.paramRef)) errors.push(...paramRefErrors(spec.paramRef));
  if (isObject(spec.matchResources)) errors.push(...matchErrors(spec.matchResources, 'spec.matchResources'));
  const actions = stringsOf(spec.validationActions);
  if (actions.length === 0)
    errors.push(fieldError.required('spec.validationActions', 'at least one validation action is required'));
  const seen = new Set<string>();
  actions.forEach((action, i) => {
    errors.push(...choiceErrors(action, `spec.validationActions[${i}]`, ['Audit', 'Deny', 'Warn']));
    if (seen.has(action)) errors.push(fieldError.duplicate(`spec.validationActions[${i}]`, action));
    seen.add(action);
  });
  if (seen.has('Deny') && seen.has('Warn')) {
    errors.push(
      fieldError.invalid(
        'spec.validationActions',
        actions,
        'must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
      ),
    );
  }
  return errors;
}

/** ValidatingAdmissionPolicies and their bindings. */
export const admissionPolicyStrategies: Readonly<Record<string, Strategy>> = {
  'validatingadmissionpolicies.admissionregistration.k8s.io': {
    defaults: (draft) => {
      const spec = specOf(draft);
      spec.failurePolicy ??= 'Fail';
      if (isObject(spec.matchConstraints)) matchDefaults(spec.matchConstraints);
    },
    validate: policyErrors,
  },
  'validatingadmissionpolicybindings.admissionregistration.k8s.io': {
    defaults: (draft) => {
      const { matchResources } = specOf(draft);
      if (isObject(matchResources)) matchDefaults(matchResources);
    },
    validate: bindingErrors,
    validateUpdate: (binding, old) =>
      objectOf(binding.spec).policyName === objectOf(old.spec).policyName
        ? []
        : [fieldError.invalid('spec.policyName', objectOf(binding.spec).policyName, 'field is immutable')],
  },
};
