/** Exit codes of curl (its manual, "EXIT CODES") that this client can end with. */
export const curlExit = {
  unsupportedProtocol: 1,
  badOption: 2,
  malformedUrl: 3,
  resolveHost: 6,
  connect: 7,
  weirdServerReply: 1,
  http2: 16,
  partialFile: 18,
  httpReturnedError: 22,
  writeError: 23,
  readError: 26,
  timeout: 28,
  tlsConnect: 35,
  tooManyRedirects: 47,
  emptyReply: 52,
  sendError: 55,
  receiveError: 56,
  certificate: 60,
} as const;

/** A transfer that ended as curl would end it with this exit code; the message is printed after `curl: (N) `. */
export class TransferFailure extends Error {
  override readonly name = 'TransferFailure';
  readonly exitCode: number;

  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Translates an error of an established connection into curl's exit code. */
export function transferFailure(error: unknown, progress: { readonly hasReply: boolean }): TransferFailure {
  if (error instanceof TransferFailure) return error;
  const { code = '', message, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ECONNRESET' && syscall !== 'read' && syscall !== 'write') {
    // Node reports an orderly close before the reply as "socket hang up".
    return progress.hasReply
      ? new TransferFailure(curlExit.partialFile, 'transfer closed with outstanding read data remaining')
      : new TransferFailure(curlExit.emptyReply, 'Empty reply from server');
  }
  if (code === 'ECONNRESET' || code === 'ETIMEDOUT' || code === 'EHOSTUNREACH') {
    return new TransferFailure(curlExit.receiveError, `Recv failure: ${reason(code)}`);
  }
  if (code === 'EPIPE') return new TransferFailure(curlExit.sendError, 'Send failure: Broken pipe');
  if (code.startsWith('HPE_')) {
    return progress.hasReply
      ? new TransferFailure(curlExit.receiveError, `malformed reply: ${message}`)
      : new TransferFailure(curlExit.weirdServerReply, 'Received HTTP/0.9 when not allowed');
  }
  if (code.startsWith('ERR_HTTP2')) return new TransferFailure(curlExit.http2, `HTTP/2 error: ${message}`);
  return new TransferFailure(curlExit.receiveError, message || code || String(error));
}

/** Translates an error of the TLS handshake. */
export function handshakeFailure(error: unknown): TransferFailure {
  const { code = '', message } = error as NodeJS.ErrnoException;
  const isCertificate = /CERT|SELF_SIGNED|ISSUER|ALTNAME/.test(code);
  return isCertificate
    ? new TransferFailure(curlExit.certificate, `SSL certificate problem: ${message}`)
    : new TransferFailure(curlExit.tlsConnect, `TLS connect error: ${message || code}`);
}

function reason(code: string): string {
  if (code === 'ECONNRESET') return 'Connection reset by peer';
  if (code === 'ETIMEDOUT') return 'Connection timed out';
  return 'No route to host';
}
