import { request as httpRequest } from 'node:http';
import { createServer, type Server } from 'node:net';
import { Duplex, PassThrough, Writable } from 'node:stream';
import { MeshError, messageOf } from '../errors/mesh-error.js';
import type { KubeClient } from './client.js';

export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** A connection to a port inside a pod, through the API server. Rejects with MESH0210. */
export async function connectToPod(client: KubeClient, target: PodPort): Promise<Duplex> {
  const { PortForward } = await import('@kubernetes/client-node');
  const forward = new PortForward(await client.connection.toKubeConfig());
  const toPod = new PassThrough();
  const fromPod = new PassThrough();
  let complaint = '';
  const errors = new Writable({
    write(chunk: Buffer, _encoding, done) {
      complaint += chunk.toString('utf8');
      done();
    },
  });
  try {
    const socket = await forward.portForward(
      target.namespace,
      target.pod,
      [target.port],
      fromPod,
      errors,
      toPod,
    );
    if (typeof socket === 'function') throw new Error('unexpected restartable connection');
    const duplex = Duplex.from({ readable: fromPod, writable: toPod });
    socket.on('close', () => {
      if (complaint === '') fromPod.end();
      else fromPod.destroy(noConnection(target, complaint));
    });
    socket.on('error', (error: Error) => fromPod.destroy(noConnection(target, error.message)));
    duplex.on('close', () => socket.close());
    return duplex;
  } catch (error) {
    throw noConnection(target, describeSocketError(error));
  }
}

export interface PodHttpRequest extends PodPort {
  readonly path: string;
  readonly method?: 'GET' | 'POST' | undefined;
  /** Sent with POST. */
  readonly body?: string | undefined;
  /** Milliseconds for the whole answer; default 10 000. */
  readonly timeoutMs?: number | undefined;
}

export interface PodHttpAnswer {
  readonly status: number;
  readonly body: string;
  /** The time by the clock of the pod, as HTTP writes it. */
  readonly date: string | undefined;
}

const podHttpTimeoutDefaultMs = 10_000;
const podAnswerMaxBytes = 128 * 1024 * 1024;

/** One HTTP request to an admin port inside a pod. Rejects with MESH0210; any status is a result. */
export async function podHttp(client: KubeClient, r: PodHttpRequest): Promise<PodHttpAnswer> {
  const timeoutMs = r.timeoutMs ?? podHttpTimeoutDefaultMs;
  const stream = await connectToPod(client, r);
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      stream.destroy();
      reject(error instanceof MeshError ? error : noConnection(r, messageOf(error)));
    };
    const request = httpRequest(
      {
        method: r.method ?? 'GET',
        path: r.path,
        headers: {
          host: `localhost:${r.port}`,
          connection: 'close',
          ...(r.body === undefined ? {} : { 'content-length': Buffer.byteLength(r.body) }),
        },
        // node:http only uses the stream interface of what it is given.
        createConnection: () => stream as never,
        signal: AbortSignal.timeout(timeoutMs),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > podAnswerMaxBytes) fail(new Error(`answer larger than ${podAnswerMaxBytes} bytes`));
          else chunks.push(chunk);
        });
        response.on('error', fail);
        response.on('end', () => {
          stream.destroy();
          resolve({
            status: response.statusCode ?? 0,
            body: Buffer.concat(chunks).toString('utf8'),
            date: response.headers.date,
          });
        });
      },
    );
    request.on('error', fail);
    request.end(r.body);
  });
}

export interface LocalForward {
  readonly port: number;
  close(): void;
}

/** Listens on 127.0.0.1 (`localPort` 0: any) and forwards each connection to the pod. */
export async function listenForPod(
  client: KubeClient,
  target: PodPort,
  o: { localPort?: number; onError?: (error: Error) => void } = {},
): Promise<LocalForward> {
  const server: Server = createServer({ allowHalfOpen: false }, (local) => {
    local.on('error', () => undefined);
    connectToPod(client, target).then(
      (remote) => {
        remote.on('error', (error) => {
          o.onError?.(error);
          local.destroy();
        });
        local.pipe(remote).pipe(local);
        local.on('close', () => remote.destroy());
      },
      (error: unknown) => {
        o.onError?.(error instanceof Error ? error : new Error(String(error)));
        local.destroy();
      },
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(o.localPort ?? 0, '127.0.0.1', resolve);
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    close: () => server.close(),
  };
}

/** client-node rejects with an error event of its WebSocket, which carries its text in odd places. */
export function describeSocketError(error: unknown): string {
  if (error instanceof Error) return error.message;
  if (typeof error === 'object' && error !== null && 'message' in error) return String(error.message);
  return String(error);
}

function noConnection(target: PodPort, evidence: string): MeshError {
  return new MeshError(
    'MESH0210',
    `no connection to port ${target.port} of Pod ${target.namespace}/${target.pod}`,
    {
      evidence,
    },
  );
}
