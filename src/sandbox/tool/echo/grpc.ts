import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2';
import type { Identity } from './report.js';

/** True for requests that speak gRPC over HTTP/2. */
export function isGrpc(request: Http2ServerRequest): boolean {
  return /^application\/grpc($|[+;])/.test(request.headers['content-type'] ?? '');
}

/**
 * Echoes the length-prefixed messages of any method byte by byte and ends with
 * trailers `grpc-status: 0`; works for unary and streaming calls because the
 * framing of the reply is the framing of the request.
 */
export function serveGrpc(
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  options: { readonly identity: Identity; readonly log: (line: string) => void },
): void {
  const { stream } = response;
  options.log(`${request.socket.remoteAddress ?? ''} "gRPC ${request.url}"`);
  stream.respond(
    {
      ':status': 200,
      'content-type': request.headers['content-type'] ?? 'application/grpc',
      'x-echo-name': options.identity.name,
    },
    { waitForTrailers: true },
  );
  stream.on('wantTrailers', () => {
    stream.sendTrailers({ 'grpc-status': '0' });
  });
  stream.on('error', () => stream.destroy());
  stream.pipe(stream);
}
