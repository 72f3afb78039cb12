import { applyPatch, type Operation } from 'rfc6902';
import { ApiError, apiError } from '../http/api-error.js';
import { cloneJson, isObject, type Json } from '../json.js';

/** A patch with more operations than this is refused, as Kubernetes does. */
const operationsMax = 10_000;
const verbs: ReadonlySet<string> = new Set(['add', 'remove', 'replace', 'move', 'copy', 'test']);

/** JSON patch (RFC 6902). The target is not changed. Throws 400 for a malformed patch, 422 for one that does not apply. */
export function jsonPatch(target: Json, patch: Json): Json {
  if (!Array.isArray(patch))
    throw apiError.badRequest('error decoding patch: a JSON patch is an array of operations');
  if (patch.length > operationsMax) {
    throw new ApiError(
      413,
      'RequestEntityTooLarge',
      `Request entity too large: The allowed maximum operations in a JSON patch is ${operationsMax}, got ${patch.length}`,
    );
  }
  for (const operation of patch as Json[]) {
    if (!isObject(operation) || typeof operation.op !== 'string' || !verbs.has(operation.op)) {
      throw apiError.badRequest('error decoding patch: every operation needs a known "op"');
    }
    for (const pointer of [operation.path, ...('from' in operation ? [operation.from] : [])]) {
      if (typeof pointer !== 'string' || (pointer !== '' && !pointer.startsWith('/'))) {
        throw apiError.badRequest('error decoding patch: "path" and "from" are JSON pointers');
      }
      if (/(^|\/)(__proto__|constructor|prototype)(\/|$)/.test(pointer)) {
        throw apiError.badRequest('error decoding patch: the path is not supported');
      }
    }
  }
  const out = { root: cloneJson(target) };
  // Checked above: every element has the form of an operation.
  const results = applyPatch(out.root, cloneJson(patch as Json[]) as unknown as Operation[]);
  const failed = results.find((r) => r !== null);
  if (failed) {
    throw new ApiError(
      422,
      'Invalid',
      `the server rejected our request due to an error in our request: ${failed.message}`,
    );
  }
  return out.root;
}
