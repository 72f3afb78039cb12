import type { Socket } from 'node:net';
import { createServer, type Server, TLSSocket } from 'node:tls';
import type { SeenTls } from './report.js';

export interface TlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Clients are asked for a certificate, and what it says is reported; none is refused. */
  readonly clientCa: Buffer | undefined;
}

/** Ends TLS and hands the connection on, whichever HTTP it speaks. */
export function createTlsServer(files: TlsFiles, onConnection: (socket: TLSSocket) => void): Server {
  const { clientCa, ...own } = files;
  return createServer(
    {
      ...own,
      ALPNProtocols: ['h2', 'http/1.1'],
      ...(clientCa === undefined ? {} : { ca: clientCa, requestCert: true, rejectUnauthorized: false }),
    },
    onConnection,
  );
}

/** What a connection's TLS session says; undefined without TLS. */
export function seenTls(socket: Socket): SeenTls | undefined {
  if (!(socket instanceof TLSSocket)) return undefined;
  const { servername } = socket as TLSSocket & { readonly servername?: string | false };
  const certificate = socket.getPeerCertificate();
  return {
    serverName: typeof servername === 'string' ? servername : undefined,
    version: socket.getProtocol() ?? '',
    cipher: socket.getCipher().name,
    client:
      Object.keys(certificate).length === 0
        ? undefined
        : {
            subject: Object.entries(certificate.subject ?? {})
              .map(([name, value]) => `${name}=${String(value)}`)
              .join(','),
            names: certificate.subjectaltname ?? '',
            isTrusted: socket.authorized,
          },
  };
}
