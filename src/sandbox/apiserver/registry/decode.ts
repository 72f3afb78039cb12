import { apiError } from '../api-error.js';
import { cloneJson } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { prune } from '../schema/prune.js';
import type { ServedResource } from './resource.js';
import { withoutEmptyFields } from './stored-form.js';
import { typeProblem } from './type-problem.js';
import type { PropertyPositions, WriteOptions } from './write-options.js';

/**
 * A copy of a body checked against the resource and the path, without what the
 * schema does not know. Throws 400; unknown and repeated fields warn or refuse
 * as the options say.
 */
export function decodeObject(
  resource: ServedResource,
  namespace: string | undefined,
  body: ApiObject,
  options: WriteOptions & { readonly isApply?: boolean },
): ApiObject {
  const draft = cloneJson(body);
  if (resource.namespaced) {
    const own = draft.metadata.namespace;
    if (own !== undefined && own !== '' && own !== namespace) {
      throw apiError.badRequest(
        'the namespace of the provided object does not match the namespace sent on the request',
      );
    }
    if (namespace !== undefined) draft.metadata.namespace = namespace;
  } else delete draft.metadata.namespace;
  const refuse = (why: string): Error =>
    apiError.badRequest(
      `${resource.kind} in version "${resource.version}" cannot be handled as a ${resource.kind}: ${why}`,
    );
  const problem = resource.isCustom ? undefined : typeProblem(draft, resource.schema);
  if (problem !== undefined) throw refuse(problem);
  const unknown = prune(draft, resource.schema, { isRoot: true });
  // What an applied configuration does not say must not look as if it did.
  if (options.isApply !== true) withoutEmptyFields(draft, resource);
  if (options.fieldValidation === 'Ignore') return draft;
  const problems = resource.isCustom
    ? strictProblems(options.duplicates ?? [], unknown.sort(), undefined)
    : strictProblems(options.duplicates ?? [], unknown, options.positions);
  const texts = options.yamlProblem === undefined ? problems : [options.yamlProblem, ...problems];
  if (texts.length === 0) return draft;
  if (options.fieldValidation === 'Strict') throw refuse(`strict decoding error: ${texts.join(', ')}`);
  if (options.fieldValidation === 'Warn') options.warnings?.push(...texts);
  return draft;
}

/**
 * What strict validation says of repeated and unknown fields. The decoder of
 * built-in kinds meets them in the order of the body; custom resources are
 * searched for repeated ones first.
 */
function strictProblems(
  duplicates: readonly string[],
  unknown: readonly string[],
  positions: PropertyPositions | undefined,
): string[] {
  const problems = [
    // Noticed when the property comes for the second time.
    ...duplicates.map((path) => ({ path, nth: 1, text: `duplicate field "${path}"` })),
    ...unknown.map((path) => ({ path, nth: 0, text: `unknown field "${path}"` })),
  ];
  if (positions !== undefined && duplicates.length > 0 && unknown.length > 0) {
    const found = positions(new Set(problems.map((p) => p.path)));
    const at = ({ path, nth }: { path: string; nth: number }) => found.get(path)?.[nth] ?? 0;
    problems.sort((a, b) => at(a) - at(b));
  }
  return problems.map((p) => p.text);
}
