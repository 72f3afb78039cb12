/**
 * Who must act on an error; decides the exit code of the CLI.
 * - failed: the operation, or the thing asked about, is not fine (1)
 * - usage: the invocation is wrong (2)
 * - access: cluster unreachable or not permitted (3)
 * - timeout: gave up waiting (4)
 * - bug: our own mistake (1, with a hint to report it)
 */
export type ErrorKind = 'failed' | 'usage' | 'access' | 'timeout' | 'bug';

/** One entry of the error catalog; the long form shown by `meshctl explain`. */
export interface ErrorCode {
  readonly kind: ErrorKind;
  /** One line: what the code means. */
  readonly title: string;
  /** How it comes about. */
  readonly cause: string;
  /** What the reader does about it. */
  readonly fix: string;
}

export interface MeshErrorOptions {
  /** What was observed: the server's answer, a log line, a path. */
  readonly evidence?: string | undefined;
  /** What to do, preferably a command to run. Defaults to the catalog's fix. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** An error for the person reading: stable code, what failed, evidence, what to do. */
export class MeshError extends Error {
  override readonly name = 'MeshError';
  readonly code: string;
  readonly evidence: string | undefined;
  readonly hint: string | undefined;

  constructor(code: string, message: string, options: MeshErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.evidence = options.evidence;
    this.hint = options.hint;
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
