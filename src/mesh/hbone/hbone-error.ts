import { MeshError, type MeshErrorOptions } from '#base/errors/mesh-error.js';

/** Why a connection failed, in the words of the `response_flags` metric label. */
export type FailureFlag =
  | 'CONNECT'
  | 'TLS_FAILURE'
  | 'H2_HANDSHAKE_FAILURE'
  | 'NETWORK_POLICY'
  | 'IDENTITY_ERROR';

/** An HBONE connection could not be made, or was refused by the peer (then with its status). */
export class HboneError extends MeshError {
  readonly flag: FailureFlag;
  /** Status of the peer's answer to CONNECT, when it gave one. */
  readonly status: number | undefined;

  constructor(
    message: string,
    options: MeshErrorOptions & { flag: FailureFlag; status?: number | undefined },
  ) {
    super('MESH0502', message, options);
    this.flag = options.flag;
    this.status = options.status;
  }
}
