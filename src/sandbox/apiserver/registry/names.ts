import { type FieldError, fieldError } from '../http/api-error.js';
import type { ObjectMeta } from '../object.js';
import type { NameRule, Resource } from './resource.js';

const label = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const label1035 = /^[a-z]([-a-z0-9]*[a-z0-9])?$/;
const subdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const qualifiedName = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;
const labelValue = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const standardFinalizers: ReadonlySet<string> = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);
const ownerKeys = [
  ['apiVersion', 'version'],
  ['kind', 'kind'],
  ['name', 'name'],
  ['uid', 'uid'],
] as const;
const annotationsMaxBytes = 256 * 1024;

const subdomainMessage =
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const labelMessage =
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const label1035Message =
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

const labelValueMessage =
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const keyMessage =
  "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";

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

/** What is wrong with a label or annotation key; undefined when it is fine. */
export function keyProblem(key: string): string | undefined {
  const slash = key.indexOf('/');
  if (slash !== key.lastIndexOf('/')) return keyMessage;
  const prefix = slash < 0 ? undefined : key.slice(0, slash);
  const name = key.slice(slash + 1);
  if (prefix === '') return 'prefix part must be non-empty';
  if (prefix !== undefined && !subdomain.test(prefix)) return `prefix part ${subdomainMessage}`;
  if (name === '') return 'name part must be non-empty';
  if (name.length > 63) return 'name part must be no more than 63 characters';
  if (qualifiedName.test(name)) return undefined;
  return "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
}

/** What is wrong with a label's value; undefined when it is fine. */
export function labelValueProblem(value: string): string | undefined {
  if (value.length > 63) return 'must be no more than 63 characters';
  return labelValue.test(value) ? undefined : labelValueMessage;
}

/** Problems of a set of labels at a path. */
export function labelErrors(
  labels: Readonly<Record<string, string>> | undefined,
  path: string,
): FieldError[] {
  const errors: FieldError[] = [];
  for (const [key, value] of Object.entries(labels ?? {})) {
    const problem = keyProblem(key);
    if (problem !== undefined) errors.push(fieldError.invalid(path, key, problem));
    const wrong = labelValueProblem(value);
    if (wrong !== undefined) errors.push(fieldError.invalid(path, value, wrong));
  }
  return errors;
}

/** Problems of an object's metadata. */
export function metadataErrors(meta: ObjectMeta, resource: Resource): FieldError[] {
  const errors: FieldError[] = [];
  if (meta.name === '') errors.push(fieldError.required('metadata.name', 'name or generateName is required'));
  else {
    const problem = nameProblem(meta.name, resource.nameRule);
    if (problem !== undefined) errors.push(fieldError.invalid('metadata.name', meta.name, problem));
  }
  errors.push(...labelErrors(meta.labels, 'metadata.labels'));
  let bytes = 0;
  for (const [key, value] of Object.entries(meta.annotations ?? {})) {
    const problem = keyProblem(key.toLowerCase());
    if (problem !== undefined) errors.push(fieldError.invalid('metadata.annotations', key, problem));
    bytes += key.length + value.length;
  }
  if (bytes > annotationsMaxBytes)
    errors.push(fieldError.tooLong('metadata.annotations', annotationsMaxBytes));
  // Kinds outside the core packages are not held to the standard names.
  const isExtension = resource.isCustom || /^api(extensions|registration)\.k8s\.io$/.test(resource.group);
  (meta.finalizers ?? []).forEach((finalizer, i) => {
    const problem = keyProblem(finalizer);
    if (problem !== undefined) errors.push(fieldError.invalid('metadata.finalizers', finalizer, problem));
    else if (!isExtension && !finalizer.includes('/') && !standardFinalizers.has(finalizer)) {
      errors.push(
        fieldError.invalid(
          `metadata.finalizers[${i}]`,
          finalizer,
          'name is neither a standard finalizer name nor is it fully qualified',
        ),
      );
    }
  });
  const owners = meta.ownerReferences ?? [];
  for (const ref of owners) {
    for (const [key, what] of ownerKeys) {
      if (typeof ref[key] !== 'string' || ref[key] === '') {
        errors.push(
          fieldError.invalid(`metadata.ownerReferences.${key}`, ref[key] ?? '', `${what} must not be empty`),
        );
      }
    }
  }
  const controllers = owners.filter((r) => r.controller === true);
  if (controllers.length > 1) {
    const names = controllers.slice(0, 2).map((r) => `${r.kind}/${r.name}`);
    errors.push(
      fieldError.invalid(
        'metadata.ownerReferences',
        controllers.map((r) => ({ apiVersion: r.apiVersion, kind: r.kind, name: r.name, uid: r.uid })),
        `Only one reference can have Controller set to true. Found "true" in references for ${names.join(' and ')}`,
      ),
    );
  }
  return errors;
}
