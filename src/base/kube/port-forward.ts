import { request as httpRequest } from 'node:http';
import { createServer, type Server } from 'node:net';
import { Duplex, PassThrough, Writable } from 'node:stream';
import { MeshError, messageOf } from '../errors/mesh-error.js';
import { ConcurrencyGate } from '../system/concurrency.js';
import type { KubeClient } from './client.js';
import { shareTls } from './shared-tls.js';

export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/**
 * A connection to a port inside a pod, through the API server. Rejects with MESH0210, or with MESH0215 when none
 * came about within `timeoutMs`.
 */
export async function connectToPod(
  client: KubeClient,
  target: PodPort,
  timeoutMs: number = podTime(client).silenceMs,
): Promise<Duplex> {
  const { PortForward } = await import('@kubernetes/client-node');
  const forward = new PortForward(shareTls(client, await client.connection.toKubeConfig()));
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
    const opening = forward.portForward(target.namespace, target.pod, [target.port], fromPod, errors, toPod);
    const socket = await within(timeoutMs, opening, {
      tooLate: () => noAnswer(target, timeoutMs),
      release: closeSocket,
    });
    if (typeof socket === 'function') throw new Error('unexpected restartable connection');
    const duplex = Duplex.from({ readable: fromPod, writable: toPod });
    socket.on('close', () => {
      if (complaint === '') fromPod.end();
      else fromPod.destroy(noConnection(target, complaint));
    });
    socket.on('error', (error: Error) => fromPod.destroy(noConnection(target, error.message)));
    // Whoever does not answer does not answer to a request to close either.
    duplex.on('close', () => closeSocket(socket));
    return duplex;
  } catch (error) {
    if (error instanceof MeshError) throw error;
    const why = describeSocketError(error);
    if (!/\b403\b/.test(why)) throw noConnection(target, why);
    // The answer to an upgrade has no words of its own.
    const refused = `this user cannot get resource "pods/portforward" in API group "" in the namespace "${target.namespace}"`;
    client.refusals.note(refused);
    throw noConnection(target, refused);
  }
}

function closeSocket(socket: unknown): void {
  const { close, terminate } = socket as { close?: () => void; terminate?: () => void };
  if (terminate !== undefined) terminate.call(socket);
  else close?.call(socket);
}

/** The result, or after a time the error; a result that comes later is released. */
async function within<T>(
  ms: number,
  work: Promise<T>,
  o: { readonly tooLate: () => Error; readonly release: (late: T) => void },
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(o.tooLate());
      work.then(o.release, () => undefined);
    }, ms);
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}

export interface PodHttpRequest extends PodPort {
  readonly path: string;
  readonly method?: 'GET' | 'POST' | undefined;
  /** Sent with POST. */
  readonly body?: string | undefined;
  /** Milliseconds of silence after which it is given up; default 5 000, and no more than the command has. */
  readonly timeoutMs?: number | undefined;
}

export interface PodHttpAnswer {
  readonly status: number;
  readonly body: string;
  /** The time by the clock of the pod, as HTTP writes it. */
  readonly date: string | undefined;
}

const podSilenceDefaultMs = 5_000;
const podAnswerMaxMs = 30_000;
const podAnswerMaxBytes = 128 * 1024 * 1024;

/** Pods asked at once, whoever asks: in a cluster of a thousand nodes, that many connections and answers in memory. */
export const podAsksMax = 32;
const gates = new WeakMap<KubeClient, ConcurrencyGate>();

function gateOf(client: KubeClient): ConcurrencyGate {
  const gate = gates.get(client) ?? new ConcurrencyGate(podAsksMax);
  gates.set(client, gate);
  return gate;
}

/** How long a pod may be silent, and how long its whole answer may take. */
function podTime(client: KubeClient): { readonly silenceMs: number; readonly wholeMs: number } {
  const { limits } = client;
  const left = (limits?.deadlineMs ?? Number.POSITIVE_INFINITY) - performance.now();
  const wholeMs = Math.min(podAnswerMaxMs, left);
  return { silenceMs: Math.min(limits?.podSilenceMs ?? podSilenceDefaultMs, wholeMs), wholeMs };
}

/**
 * One HTTP request to an admin port inside a pod; any status is a result. Rejects with MESH0210, with MESH0215 when the
 * pod is silent for too long (a stopped process accepts connections like a running one), and with MESH0216 when no time
 * is left to ask it.
 */
export function podHttp(client: KubeClient, r: PodHttpRequest): Promise<PodHttpAnswer> {
  return gateOf(client).run(() => askPod(client, r));
}

async function askPod(client: KubeClient, r: PodHttpRequest): Promise<PodHttpAnswer> {
  const { silenceMs: silenceMaxMs, wholeMs } = podTime(client);
  const silenceMs = Math.min(r.timeoutMs ?? silenceMaxMs, wholeMs);
  if (silenceMs <= 0) {
    throw new MeshError(
      'MESH0216',
      `Pod ${r.namespace}/${r.pod} was not asked: the time of the command was over before`,
    );
  }
  const stream = await connectToPod(client, r, silenceMs);
  return new Promise((resolve, reject) => {
    const settled = (): void => {
      clearTimeout(whole);
      silence.stop();
      stream.destroy();
    };
    const fail = (error: unknown) => {
      settled();
      reject(error instanceof MeshError ? error : noConnection(r, messageOf(error)));
    };
    const silence = silenceTimer(silenceMs, () => fail(noAnswer(r, silenceMs)));
    const whole = setTimeout(() => fail(noAnswer(r, wholeMs)), wholeMs);
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
      },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          silence.restart();
          size += chunk.length;
          if (size > podAnswerMaxBytes) fail(new Error(`answer larger than ${podAnswerMaxBytes} bytes`));
          else chunks.push(chunk);
        });
        response.on('error', fail);
        response.on('end', () => {
          settled();
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

function silenceTimer(ms: number, onSilence: () => void): { restart(): void; stop(): void } {
  const timer = setTimeout(onSilence, ms);
  return { restart: () => void timer.refresh(), stop: () => clearTimeout(timer) };
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

function noAnswer(target: PodPort, afterMs: number): MeshError {
  const seconds = Math.round(afterMs / 100) / 10;
  return new MeshError(
    'MESH0215',
    `Pod ${target.namespace}/${target.pod} did not answer on port ${target.port} within ${seconds} s`,
  );
}
