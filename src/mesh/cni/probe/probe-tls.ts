import { connect, type TLSSocket } from 'node:tls';
import { messageOf } from '#base/errors/mesh-error.js';
import type { ProbeTlsRequest } from './probe-request.js';

/** A TLS session with a controller, or why there is none. */
export interface ProbeTlsAnswer {
  readonly version?: string;
  readonly cipher?: string;
  /** Names in the certificate that the controller proved. */
  readonly names?: string;
  /** Address that the name resolved to. */
  readonly address?: string;
  readonly ms: number;
  readonly error?: string;
}

/** Opens a TLS session as a node's proxy does: the answer must lead to the roots and bear the name. Never rejects. */
export function probeTls({ host, port, roots, timeoutMs }: ProbeTlsRequest): Promise<ProbeTlsAnswer> {
  const startMs = performance.now();
  const elapsed = (): number => Math.round((performance.now() - startMs) * 10) / 10;
  return new Promise((resolve) => {
    let socket: TLSSocket;
    const finish = (answer: Omit<ProbeTlsAnswer, 'ms'>): void => {
      clearTimeout(timer);
      resolve({ ...answer, ms: elapsed() });
      socket.destroy();
    };
    const timer = setTimeout(() => finish({ error: `no answer within ${timeoutMs} ms` }), timeoutMs);
    try {
      socket = connect({ host, port, servername: host, ca: roots, ALPNProtocols: ['h2'] }, () => {
        finish({
          version: socket.getProtocol() ?? '',
          cipher: socket.getCipher().name,
          names: socket.getPeerCertificate().subjectaltname ?? '',
          ...(socket.remoteAddress === undefined ? {} : { address: socket.remoteAddress }),
        });
      });
    } catch (error) {
      clearTimeout(timer);
      resolve({ error: messageOf(error), ms: elapsed() });
      return;
    }
    socket.on('error', (error: NodeJS.ErrnoException) =>
      finish({ error: error.code === undefined ? error.message : `${error.code}: ${error.message}` }),
    );
  });
}
