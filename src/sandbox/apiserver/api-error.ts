import type { Json, JsonObject } from '../base/json.js';

/** Where a field error belongs and what is wrong there, phrased as Kubernetes does. */
export interface FieldError {
  readonly reason:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueNotSupported'
    | 'FieldValueDuplicate'
    | 'FieldValueForbidden'
    | 'FieldValueNotFound'
    | 'FieldValueTooLong'
    | 'FieldValueTooMany'
    | 'FieldValueTypeInvalid'
    | 'FieldManagerConflict';
  readonly field: string;
  readonly message: string;
}

function shown(value: Json | undefined): string {
  if (value === undefined) return 'null';
  return JSON.stringify(value);
}

/** Constructors of field errors. */
export const fieldError = {
  required: (field: string, detail = ''): FieldError => ({
    reason: 'FieldValueRequired',
    field,
    message: detail === '' ? 'Required value' : `Required value: ${detail}`,
  }),
  invalid: (field: string, value: Json | undefined, detail: string): FieldError => ({
    reason: 'FieldValueInvalid',
    field,
    message: `Invalid value: ${shown(value)}: ${detail}`,
  }),
  typeInvalid: (field: string, value: Json | undefined, detail: string): FieldError => ({
    reason: 'FieldValueTypeInvalid',
    field,
    message: `Invalid value: ${shown(value)}: ${detail}`,
  }),
  notSupported: (field: string, value: Json | undefined, supported: readonly string[]): FieldError => ({
    reason: 'FieldValueNotSupported',
    field,
    message: `Unsupported value: ${shown(value)}: supported values: ${supported.map((s) => JSON.stringify(s)).join(', ')}`,
  }),
  duplicate: (field: string, value: Json | undefined): FieldError => ({
    reason: 'FieldValueDuplicate',
    field,
    message: `Duplicate value: ${shown(value)}`,
  }),
  forbidden: (field: string, detail: string): FieldError => ({
    reason: 'FieldValueForbidden',
    field,
    message: `Forbidden: ${detail}`,
  }),
  notFound: (field: string, value: Json | undefined): FieldError => ({
    reason: 'FieldValueNotFound',
    field,
    message: `Not found: ${shown(value)}`,
  }),
  tooLong: (field: string, maxLength: number): FieldError => ({
    reason: 'FieldValueTooLong',
    field,
    message: `Too long: may not be more than ${maxLength} bytes`,
  }),
  tooMany: (field: string, count: number, max: number): FieldError => ({
    reason: 'FieldValueTooMany',
    field,
    message: `Too many: ${count}: must have at most ${max} items`,
  }),
} as const;

export interface StatusDetails extends JsonObject {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: JsonObject[];
  retryAfterSeconds?: number;
}

/** A refusal that the client receives as a metav1.Status of kind Failure. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: number;
  readonly reason: string;
  readonly details: StatusDetails | undefined;
  /** With which an expired list can be carried on all the same. */
  readonly continueToken: string | undefined;

  constructor(
    code: number,
    reason: string,
    message: string,
    details?: StatusDetails,
    continueToken?: string,
  ) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
    this.continueToken = continueToken;
  }

  /** The body of the answer. */
  toStatus(): JsonObject {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.continueToken === undefined ? {} : { continue: this.continueToken },
      status: 'Failure',
      message: this.message,
      ...(this.reason === '' ? {} : { reason: this.reason }),
      ...(this.details === undefined ? {} : { details: this.details }),
      code: this.code,
    };
  }
}

/** A resource as error messages name it: plural, and the group behind a dot. */
export interface ResourceName {
  readonly group: string;
  readonly plural: string;
}

function qualified(r: ResourceName): string {
  return r.group === '' ? r.plural : `${r.plural}.${r.group}`;
}

function detailsOf(r: ResourceName, name: string): StatusDetails {
  return {
    ...(name === '' ? {} : { name }),
    ...(r.group === '' ? {} : { group: r.group }),
    kind: r.plural,
  };
}

/** Constructors of the errors the API machinery answers with. */
export const apiError = {
  badRequest: (message: string): ApiError => new ApiError(400, 'BadRequest', message),
  /** A new object names a revision. Kubernetes finds out last of all, and has no reason for it. */
  versionOnCreate: (): ApiError =>
    new ApiError(500, '', 'resourceVersion should not be set on objects to be created'),
  unauthorized: (): ApiError => new ApiError(401, 'Unauthorized', 'Unauthorized'),
  forbidden: (r: ResourceName, name: string, detail: string): ApiError =>
    new ApiError(
      403,
      'Forbidden',
      name === ''
        ? `${qualified(r)} is forbidden: ${detail}`
        : `${qualified(r)} "${name}" is forbidden: ${detail}`,
      detailsOf(r, name),
    ),
  forbiddenPath: (detail: string): ApiError => new ApiError(403, 'Forbidden', `forbidden: ${detail}`, {}),
  /** No such path: kubectl tells this apart from a missing object by the absent details. */
  unknownPath: (): ApiError =>
    new ApiError(404, 'NotFound', 'the server could not find the requested resource', {}),
  notFound: (r: ResourceName, name: string): ApiError =>
    new ApiError(404, 'NotFound', `${qualified(r)} "${name}" not found`, detailsOf(r, name)),
  methodNotAllowed: (): ApiError =>
    new ApiError(
      405,
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
      {},
    ),
  notAcceptable: (accepted: string): ApiError =>
    new ApiError(406, 'NotAcceptable', `only the following media types are accepted: ${accepted}`),
  alreadyExists: (r: ResourceName, name: string): ApiError =>
    new ApiError(409, 'AlreadyExists', `${qualified(r)} "${name}" already exists`, detailsOf(r, name)),
  /** As alreadyExists, for an object that left its name to the server. */
  noUniqueName: (r: ResourceName, name: string): ApiError =>
    new ApiError(
      409,
      'AlreadyExists',
      `${qualified(r)} "${name}" already exists, the server was not able to generate a unique name for the object`,
      { ...detailsOf(r, name), retryAfterSeconds: 1 },
    ),
  conflict: (r: ResourceName, name: string, detail: string): ApiError =>
    new ApiError(
      409,
      'Conflict',
      `Operation cannot be fulfilled on ${qualified(r)} "${name}": ${detail}`,
      detailsOf(r, name),
    ),
  modified: (r: ResourceName, name: string): ApiError =>
    apiError.conflict(
      r,
      name,
      'the object has been modified; please apply your changes to the latest version and try again',
    ),
  expired: (message: string): ApiError => new ApiError(410, 'Expired', message),
  /** The list a token continues is forgotten; `token` carries on with the newest objects instead. */
  continueExpired: (token: string): ApiError =>
    new ApiError(
      410,
      'Expired',
      'The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.',
      undefined,
      token,
    ),
  timeout: (message: string): ApiError => new ApiError(504, 'Timeout', `Timeout: ${message}`, {}),
  revisionTooLarge: (asked: number, current: number): ApiError =>
    new ApiError(504, 'Timeout', `Timeout: Too large resource version: ${asked}, current: ${current}`, {
      causes: [{ reason: 'ResourceVersionTooLarge', message: 'Too large resource version' }],
      retryAfterSeconds: 1,
    }),
  tooLarge: (maxBytes: number): ApiError =>
    new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${maxBytes}`),
  unsupportedMediaType: (accepted: readonly string[]): ApiError =>
    new ApiError(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
    ),
  /** As the routing of Kubernetes refuses it, before any handler looks. */
  unroutableMediaType: (): ApiError =>
    new ApiError(415, 'UnsupportedMediaType', '415: Unsupported Media Type', {}),
  /** A patched object that cannot be of its kind. */
  invalidPatch: (patched: string, why: string): ApiError => {
    const message = `Invalid value: ${JSON.stringify(patched)}: ${why}`;
    return new ApiError(422, 'Invalid', ` "" is invalid: patch: ${message}`, {
      causes: [{ reason: 'FieldValueInvalid', message, field: 'patch' }],
    });
  },
  /** A patch that does not fit the object: what exactly is not told, as by Kubernetes. */
  patchNotApplicable: (): ApiError =>
    new ApiError(422, 'Invalid', 'the server rejected our request due to an error in our request', {}),
  invalid: (kind: string, group: string, name: string, errors: readonly FieldError[]): ApiError => {
    const texts = [...new Set(errors.map((e) => `${e.field}: ${e.message}`))];
    const shownKind = group === '' ? kind : `${kind}.${group}`;
    return new ApiError(
      422,
      'Invalid',
      `${shownKind} "${name}" is invalid: ${texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`}`,
      {
        ...(name === '' ? {} : { name }),
        ...(group === '' ? {} : { group }),
        kind,
        causes: errors.map((e) => ({ reason: e.reason, message: e.message, field: e.field })),
      },
    );
  },
  tooManyRequests: (message: string, retryAfterSeconds?: number, causes: JsonObject[] = []): ApiError =>
    new ApiError(429, 'TooManyRequests', message, {
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      ...(causes.length ? { causes } : {}),
    }),
  internal: (message: string): ApiError =>
    new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] }),
  notImplemented: (message: string): ApiError => new ApiError(501, 'NotImplemented', message),
  unavailable: (message: string): ApiError => new ApiError(503, 'ServiceUnavailable', message),
} as const;
