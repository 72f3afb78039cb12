import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Stream } from 'node:http2';
import { frameMessage, health } from '../grpc/framing.js';
import { type Identity, plainAddress } from './report.js';

/** True for requests that speak gRPC over HTTP/2. */
export function isGrpcRequest(request: Http2ServerRequest): boolean {
  return /^application\/grpc($|[+;])/.test(request.headers['content-type'] ?? '');
}

/**
 * Answers grpc.health.v1.Health (always SERVING) and echoes the length-prefixed
 * messages of any other method byte by byte; that works for unary and streaming
 * calls because the framing of the reply is the framing of the request. What was
 * seen goes into the response's metadata: `x-echo-name`, `-peer`, `-authority`, `-path`.
 */
export function serveGrpc(
  request: Http2ServerRequest,
  response: Http2ServerResponse,
  options: { readonly identity: Identity; readonly log: (line: string) => void },
): void {
  const { stream } = response;
  const peer = plainAddress(request.socket.remoteAddress);
  options.log(`${peer} "gRPC ${request.url}"`);
  stream.on('error', () => stream.destroy());
  stream.respond(
    {
      ':status': 200,
      'content-type': request.headers['content-type'] ?? 'application/grpc',
      'x-echo-name': options.identity.name,
      'x-echo-peer': peer,
      'x-echo-authority': request.authority,
      'x-echo-path': request.url,
    },
    { waitForTrailers: true },
  );
  // Sent by the response object itself, when the stream wants them.
  response.addTrailers({ 'grpc-status': '0' });
  if (request.url.startsWith(health.path)) serveHealth(stream, request.url.slice(health.path.length));
  else stream.pipe(stream);
}

/** Check answers once; Watch answers at once and then stays open, because nothing ever changes. */
function serveHealth(stream: ServerHttp2Stream, method: string): void {
  stream.resume();
  stream.once('end', () => {
    stream.write(frameMessage(health.serving));
    if (method !== 'Watch') stream.end();
  });
}
