import { type FieldError, fieldError } from '../api-error.js';
import type { ApiObjectMeta, ApiOwnerReference } from '../object.js';
import { labelErrors, nameProblems, qualifiedNameProblems } from './names.js';
import type { ServedResource } from './resource.js';

const annotationsMaxBytes = 256 * 1024;
/** Finalizers without a prefix that built-in kinds may carry. */
const standardFinalizers: ReadonlySet<string> = new Set(['kubernetes', 'orphan', 'foregroundDeletion']);
/** Groups that are served by programs of their own upstream, which do not know the standard ones. */
const extensionGroups: ReadonlySet<string> = new Set([
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'apiregistration.k8s.io',
]);

function nameErrors(meta: ApiObjectMeta, resource: ServedResource): FieldError[] {
  const errors: FieldError[] = [];
  const { generateName } = meta;
  if (typeof generateName === 'string' && generateName !== '') {
    // A name is made of it: a trailing dash is covered by what follows.
    for (const problem of nameProblems(generateName.replace(/-$/, 'a'), resource.nameRule))
      errors.push(fieldError.invalid('metadata.generateName', generateName, problem));
  }
  if (meta.name === '') errors.push(fieldError.required('metadata.name', 'name or generateName is required'));
  for (const problem of meta.name === '' ? [] : nameProblems(meta.name, resource.nameRule))
    errors.push(fieldError.invalid('metadata.name', meta.name, problem));
  return errors;
}

function annotationErrors(annotations: ApiObjectMeta['annotations']): FieldError[] {
  const errors: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    for (const problem of qualifiedNameProblems(key.toLowerCase()))
      errors.push(fieldError.invalid('metadata.annotations', key, problem));
    bytes += Buffer.byteLength(key) + Buffer.byteLength(value);
  }
  if (bytes > annotationsMaxBytes)
    errors.push(fieldError.tooLong('metadata.annotations', annotationsMaxBytes));
  return errors;
}

function finalizerErrors(finalizers: readonly string[], { isCustom, group }: ServedResource): FieldError[] {
  const takesOnlyStandard = !isCustom && !extensionGroups.has(group);
  const errors: FieldError[] = [];
  finalizers.forEach((finalizer, i) => {
    for (const problem of qualifiedNameProblems(finalizer))
      errors.push(fieldError.invalid('metadata.finalizers', finalizer, problem));
    if (takesOnlyStandard && !finalizer.includes('/') && !standardFinalizers.has(finalizer)) {
      errors.push(
        fieldError.invalid(
          `metadata.finalizers[${i}]`,
          finalizer,
          'name is neither a standard finalizer name nor is it fully qualified',
        ),
      );
    }
  });
  if (finalizers.includes('orphan') && finalizers.includes('foregroundDeletion')) {
    errors.push(
      fieldError.invalid(
        'metadata.finalizers',
        [...finalizers],
        'finalizer orphan and foregroundDeletion cannot be both set',
      ),
    );
  }
  return errors;
}

function ownerErrors(owners: readonly ApiOwnerReference[]): FieldError[] {
  const path = 'metadata.ownerReferences';
  const errors: FieldError[] = [];
  for (const owner of owners) {
    for (const key of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (owner[key] !== undefined && owner[key] !== '') continue;
      const what = key === 'apiVersion' ? 'version' : key;
      errors.push(fieldError.invalid(`${path}.${key}`, '', `${what} must not be empty`));
    }
    if (owner.apiVersion === 'v1' && owner.kind === 'Event')
      errors.push(fieldError.invalid(path, owner, '/v1, Kind=Event is disallowed from being an owner'));
  }
  const controllers = owners.filter((o) => o.controller === true).map((o) => `${o.kind}/${o.name}`);
  for (const other of controllers.slice(1)) {
    errors.push(
      fieldError.invalid(
        path,
        [...owners],
        `Only one reference can have Controller set to true. Found "true" in references for ${controllers[0]} and ${other}`,
      ),
    );
  }
  return errors;
}

/** Problems of an object's metadata. */
export function metadataErrors(meta: ApiObjectMeta, resource: ServedResource): FieldError[] {
  return [
    ...nameErrors(meta, resource),
    ...labelErrors(meta.labels, 'metadata.labels'),
    ...annotationErrors(meta.annotations),
    ...ownerErrors(meta.ownerReferences ?? []),
    ...finalizerErrors(meta.finalizers ?? [], resource),
  ];
}
