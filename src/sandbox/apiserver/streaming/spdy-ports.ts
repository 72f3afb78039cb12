import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
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
  try {
    const target = await open(port);
    // Each direction ends on its own, so that half-closed connections work.
    await Promise.all([pipeline(data, target), pipeline(target, data)]);
    errorStream?.end();
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    errorStream?.end(`error forwarding port ${port} to pod: ${why}`);
    data.end();
  }
}
