import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { messageOf } from '#base/errors/mesh-error.js';
import type { PortOpener } from './port-channels.js';
import { SpdyConnection, type SpdyStream } from './spdy-connection.js';

/** Requests whose second stream has not come yet. */
const pendingMax = 1_000;

/**
 * Port-forward over SPDY streams, as kubectl does it: every forwarded
 * connection is a pair of streams, `error` and `data`, joined by a request id.
 */
export async function serveSpdyPorts(socket: Duplex, open: PortOpener): Promise<void> {
  const errors = new Map<string, SpdyStream>();
  const connection = new SpdyConnection(socket, (stream) => {
    const id = stream.headers.get('requestid') ?? '';
    const port = Number(stream.headers.get('port'));
    const type = stream.headers.get('streamtype');
    if (!Number.isInteger(port) || port < 1 || port > 65_535 || (type !== 'error' && type !== 'data')) {
      stream.destroy();
      return;
    }
    if (type === 'error') {
      if (errors.size >= pendingMax) stream.destroy();
      else {
        errors.set(id, stream);
        stream.resume();
        stream.once('close', () => errors.delete(id));
      }
      return;
    }
    const errorStream = errors.get(id);
    errors.delete(id);
    void forward(stream, errorStream, port, open);
  });
  await connection.run();
}

async function forward(
  data: SpdyStream,
  errorStream: SpdyStream | undefined,
  port: number,
  open: PortOpener,
): Promise<void> {
  let failure: unknown;
  try {
    const target = await open(port);
    target.once('error', (error) => {
      // Our own pipelines destroy the target too, when the client resets its stream.
      if ('syscall' in error) failure = error;
    });
    // Each direction ends on its own, so that half-closed connections work. A client that
    // resets its stream has what it wanted: only the pod's side can make this a failure.
    await Promise.allSettled([pipeline(data, target), pipeline(target, data)]);
    target.destroy();
  } catch (error) {
    failure = error;
  }
  if (failure === undefined) errorStream?.end();
  else {
    const why = messageOf(failure);
    errorStream?.end(`error forwarding port ${port} to pod: ${why}`);
    data.end();
  }
}
