import { MeshError, type MeshErrorOptions } from '../errors/mesh-error.js';

/** The `Status` object the API server answers failures with. */
export interface ApiStatus {
  readonly status?: string;
  readonly message?: string;
  readonly reason?: string;
  readonly code?: number;
  readonly details?: {
    readonly name?: string;
    readonly kind?: string;
    readonly retryAfterSeconds?: number;
    readonly causes?: readonly {
      readonly field?: string;
      readonly message?: string;
      readonly reason?: string;
    }[];
  };
}

/** An answer of the API server that is not a success. */
export class KubeApiError extends MeshError {
  /** HTTP status. */
  readonly status: number;
  /** Machine-readable reason: NotFound, Conflict, Forbidden, ... */
  readonly reason: string;
  readonly details: ApiStatus['details'];

  constructor(code: string, status: number, body: ApiStatus, options: MeshErrorOptions = {}) {
    super(code, body.message ?? `the API server answered ${status}`, options);
    this.status = status;
    this.reason = body.reason ?? '';
    this.details = body.details;
  }
}

export function isNotFound(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 404;
}

export function isForbidden(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 403;
}

export function isConflict(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 409 && error.reason !== 'AlreadyExists';
}

export function isAlreadyExists(error: unknown): boolean {
  return error instanceof KubeApiError && error.status === 409 && error.reason === 'AlreadyExists';
}

/** The error for an HTTP answer; `what` is the request, as evidence. */
export function apiErrorOf(status: number, bodyText: string, what: string): KubeApiError {
  const body = parseStatus(bodyText);
  return new KubeApiError(codeOf(status), status, body, { evidence: `${what} -> ${status}` });
}

function codeOf(status: number): string {
  if (status === 401) return 'MESH0202';
  if (status === 403) return 'MESH0203';
  if (status === 404) return 'MESH0204';
  if (status === 409) return 'MESH0205';
  if (status === 422 || status === 400) return 'MESH0206';
  return 'MESH0207';
}

function parseStatus(text: string): ApiStatus {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && 'message' in parsed) return parsed as ApiStatus;
  } catch {
    // Not JSON: a proxy between us and the API server answered.
  }
  const excerptMaxChars = 300;
  const excerpt = text.trim().slice(0, excerptMaxChars);
  return excerpt === '' ? {} : { message: excerpt };
}
