import { isObject, type Json, type JsonObject } from '../../base/json.js';
import { jsonPatch } from '../patch/json-patch.js';
import { mergePatch } from '../patch/merge-patch.js';
import { MalformedPatch, PatchNotApplicable } from '../patch/patch-error.js';
import { strategicMergePatch } from '../patch/strategic-merge-patch.js';
import type { WriteOptions } from '../registry/write-options.js';
import type { Schema } from '../schema/schema.js';
import { ApiError, apiError } from '../api-error.js';
import { mediaType, type ParsedBody, parseJson, parseYaml, readBody } from './body.js';
import type { IncomingApiRequest } from './exchange.js';
import { jsonTypeName } from './object-form.js';

const typeNames = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
} as const;

/** How a patch is to be understood. */
export type PatchType = keyof typeof typeNames;

/** A patch with more operations than this is refused, as by Kubernetes. */
const operationsMax = 10_000;

/** A patch as received: parsed, not applied. */
export interface Patch extends ParsedBody {
  readonly type: PatchType;
}

/** Refuses or warns of an applied configuration whose maps have keys twice, as the options say. Throws 400. */
export function reportRepeatedKeys(
  { yamlProblem }: Patch,
  { fieldValidation, warnings }: Pick<WriteOptions, 'fieldValidation' | 'warnings'>,
): void {
  if (yamlProblem === undefined || fieldValidation === 'Ignore') return;
  const why = `error converting YAML to JSON: ${yamlProblem}`;
  if (fieldValidation === 'Strict') throw apiError.badRequest(`error strict decoding YAML: ${why}`);
  warnings?.push(why);
}

/** Reads a patch by the request's media type. Throws 400, 413 and 415. */
export async function readPatch(
  request: IncomingApiRequest,
  options: { readonly allowsStrategic: boolean },
): Promise<Patch> {
  const name = mediaType(request);
  const types = (Object.keys(typeNames) as PatchType[]).filter(
    (t) => t !== 'strategic' || options.allowsStrategic,
  );
  const type = types.find((t) => typeNames[t] === name);
  if (type === undefined) {
    const isKnown = Object.values(typeNames).some((t) => t === name);
    throw isKnown
      ? apiError.unsupportedMediaType(types.map((t) => typeNames[t]))
      : apiError.unroutableMediaType();
  }
  const text = (await readBody(request)).toString('utf8');
  const parsed = parsePatch(type, text);
  assertForm(type, parsed.value);
  return { type, ...parsed };
}

function parsePatch(type: PatchType, text: string): ParsedBody {
  try {
    return type === 'apply' ? parseYaml(text) : parseJson(text);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    switch (type) {
      case 'apply':
        throw apiError.badRequest(`error decoding YAML: error converting YAML to JSON: ${why}`);
      case 'strategic':
        throw apiError.badRequest(why);
      default:
        throw apiError.badRequest(`error decoding patch: ${why}`);
    }
  }
}

function assertForm(type: PatchType, value: Json): void {
  const wrong = (wanted: string): string =>
    `json: cannot unmarshal ${jsonTypeName(value)} into Go value of type ${wanted}`;
  if (type === 'json') {
    if (!Array.isArray(value))
      throw apiError.badRequest(`error decoding patch: ${wrong('[]handlers.jsonPatchOp')}`);
    if (value.length > operationsMax) {
      throw new ApiError(
        413,
        'RequestEntityTooLarge',
        `Request entity too large: The allowed maximum operations in a JSON patch is ${operationsMax}, got ${value.length}`,
      );
    }
    return;
  }
  if (isObject(value) || (value === null && type === 'apply')) return;
  const why = value === null ? 'Invalid JSON Patch' : wrong('map[string]interface {}');
  if (type === 'merge') throw apiError.badRequest(value === null ? why : `error decoding patch: ${why}`);
  if (type === 'strategic') throw apiError.badRequest(why);
  throw apiError.badRequest(
    `error decoding YAML: error unmarshaling JSON: while decoding JSON: ${wrong('map[string]interface {}')}`,
  );
}

/** Applies a JSON, merge or strategic patch to an object. Throws 400 and 422. */
export function applyPatch(patch: Patch, current: JsonObject, schema: Schema): Json {
  try {
    if (patch.type === 'json')
      return jsonPatch(current, Array.isArray(patch.value) ? (patch.value as Json[]) : []);
    if (patch.type === 'merge') return mergePatch(current, patch.value);
    return strategicMergePatch(current, patch.value, schema);
  } catch (error) {
    if (error instanceof PatchNotApplicable) throw apiError.patchNotApplicable();
    if (error instanceof MalformedPatch) throw apiError.badRequest(error.message);
    throw error;
  }
}

/**
 * Runs the decoding of a patched object: what makes a body a bad request makes
 * a patch invalid. Errors quote the patched object, or the strategic patch.
 */
export function decodePatched<T>(patch: Patch, patched: Json, decode: () => T): T {
  try {
    return decode();
  } catch (error) {
    const match =
      error instanceof ApiError ? / cannot be handled as an? \S+: (.*)$/s.exec(error.message) : null;
    const isTypeError =
      error instanceof ApiError && /^the (API version|kind) in the data/.test(error.message);
    if (!(error instanceof ApiError) || error.code !== 400 || (match === null && !isTypeError)) throw error;
    const shown = JSON.stringify(patch.type === 'strategic' ? patch.value : patched);
    throw apiError.invalidPatch(shown, match?.[1] ?? error.message);
  }
}
