/** Error codes of the CNI specification, and ours from 100 up. */
export const cniErrorCodes = {
  incompatibleVersion: 1,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodingFailure: 6,
  invalidConfig: 7,
  tryAgainLater: 11,
  /** The agent looked at the pod and refused, or could not set up its redirection. */
  agentRefused: 100,
} as const;

/** A failure as the runtime gets it: JSON on stdout and exit code 1. */
export class CniError extends Error {
  override readonly name = 'CniError';
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, details = '') {
    super(message);
    this.code = code;
    this.details = details;
  }

  /** The error object of the CNI specification. */
  toResult(cniVersion: string): Record<string, unknown> {
    return { cniVersion, code: this.code, msg: this.message, details: this.details };
  }
}
