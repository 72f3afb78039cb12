import { type FieldError, fieldError } from '../api-error.js';
import type { NameRule } from './resource.js';

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const label1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedName = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;

const subdomainMessage =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const labelMessage =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const label1035Message =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

/** Everything that is wrong with a name under a rule. */
export function nameProblems(name: string, rule: NameRule): string[] {
  const lengthAndForm = (max: number, form: RegExp, message: string): string[] => [
    ...(name.length > max ? [`must be no more than ${max} characters`] : []),
    ...(form.test(name) ? [] : [message]),
  ];
  switch (rule) {
    case 'subdomain':
      return lengthAndForm(253, subdomain, subdomainMessage);
    case 'label':
      return lengthAndForm(63, label, labelMessage);
    case 'label1035':
      return lengthAndForm(63, label1035, label1035Message);
    case 'path':
      if (name === '.' || name === '..') return [`may not be '${name}'`];
      return ['/', '%'].filter((c) => name.includes(c)).map((c) => `may not contain '${c}'`);
  }
}

/** The first thing that is wrong with a name under a rule; undefined when it is fine. */
export function nameProblem(name: string, rule: NameRule): string | undefined {
  return nameProblems(name, rule)[0];
}

const qualifiedNameMessage =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const labelValueMessage =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/** Everything that is wrong with a qualified name: a label or annotation key, a condition type, a resource name. */
export function qualifiedNameProblems(value: string): string[] {
  const parts = value.split('/');
  if (parts.length > 2) {
    return [
      `a qualified name ${qualifiedNameMessage} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const problems: string[] = [];
  const prefix = parts.length === 2 ? parts[0] : undefined;
  const name = parts.at(-1) ?? '';
  if (prefix === '') problems.push('prefix part must be non-empty');
  else if (prefix !== undefined) {
    problems.push(...nameProblems(prefix, 'subdomain').map((problem) => `prefix part ${problem}`));
  }
  if (name === '') problems.push('name part must be non-empty');
  else if (name.length > 63) problems.push('name part must be no more than 63 characters');
  if (!qualifiedName.test(name)) problems.push(`name part ${qualifiedNameMessage}`);
  return problems;
}

/** The first thing that is wrong with a label or annotation key; undefined when it is fine. */
export function keyProblem(key: string): string | undefined {
  return qualifiedNameProblems(key)[0];
}

/** Everything that is wrong with the value of a label. */
export function labelValueProblems(value: string): string[] {
  return [
    ...(value.length > 63 ? ['must be no more than 63 characters'] : []),
    ...(labelValue.test(value) ? [] : [labelValueMessage]),
  ];
}

/** The first thing that is wrong with the value of a label; undefined when it is fine. */
export function labelValueProblem(value: string): string | undefined {
  return labelValueProblems(value)[0];
}

/** Problems of a set of labels at a path. */
export function labelErrors(
  labels: Readonly<Record<string, string>> | undefined,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(labels ?? {})) {
    for (const problem of qualifiedNameProblems(key)) errors.push(fieldError.invalid(path, key, problem));
    for (const problem of labelValueProblems(value)) errors.push(fieldError.invalid(path, value, problem));
  }
  return errors;
}
