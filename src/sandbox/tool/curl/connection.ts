import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { connect, isIP, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { curlExit, handshakeFailure, TransferFailure } from './failure.js';
import type { CurlOptions } from './options.js';

/** Connect phase of one transfer, for `-w` and `-v`. */
export interface ConnectTimes {
  /** Milliseconds of performance.now(). */
  lookedUpAt: number;
  connectedAt: number;
  securedAt: number;
}

/** Where a URL leads: host without brackets, port, and whether TLS is spoken there. */
export interface Target {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** Reads the target of an http or https URL. */
export function targetOf(url: URL): Target {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new TransferFailure(
      curlExit.unsupportedProtocol,
      `Protocol "${url.protocol.slice(0, -1)}" not supported`,
    );
  }
  const isTls = url.protocol === 'https:';
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return { host, port: url.port === '' ? (isTls ? 443 : 80) : Number(url.port), isTls };
}

/**
 * Opens the connection: looks the name up, tries each address in turn, then the
 * TLS handshake. Rejects with TransferFailure 6, 7, 28, 35 or 60.
 */
export async function openConnection(o: {
  readonly target: Target;
  readonly options: CurlOptions;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
}): Promise<{ readonly socket: Socket | TLSSocket; readonly times: ConnectTimes }> {
  const { target, options, note } = o;
  const began = performance.now();
  const limit = options.connectTimeoutMs;
  const signal = limit === undefined ? o.signal : AbortSignal.any([o.signal, AbortSignal.timeout(limit)]);
  const elapsed = (): string => `after ${Math.round(performance.now() - began)} ms`;
  const timedOut = (): TransferFailure =>
    new TransferFailure(
      curlExit.timeout,
      o.signal.aborted
        ? `Connection timed out ${elapsed()}`
        : `Failed to connect to ${target.host} port ${target.port} ${elapsed()}: Timeout was reached`,
    );
  const addresses = await withSignal(resolveHost(target, options), signal, timedOut);
  const times: ConnectTimes = { lookedUpAt: performance.now(), connectedAt: 0, securedAt: 0 };
  let socket: Socket | undefined;
  let lastError = "Couldn't connect to server";
  for (const address of addresses) {
    note(`  Trying ${isIP(address) === 6 ? `[${address}]` : address}:${target.port}...`);
    try {
      socket = await connectTo({ address, port: target.port, signal, timedOut });
      break;
    } catch (error) {
      if (error instanceof TransferFailure) throw error;
      lastError = describeConnect(error);
      note(`connect to ${address} port ${target.port} failed: ${lastError}`);
    }
  }
  if (socket === undefined) {
    throw new TransferFailure(
      curlExit.connect,
      `Failed to connect to ${target.host} port ${target.port} ${elapsed()}: ${lastError}`,
    );
  }
  times.connectedAt = performance.now();
  note(`Connected to ${target.host} (${socket.remoteAddress ?? ''}) port ${target.port}`);
  if (!target.isTls) return { socket, times };
  const secure = await handshake({ socket, target, options, signal, timedOut });
  times.securedAt = performance.now();
  const protocol = secure.getProtocol() ?? '';
  note(`SSL connection using ${protocol} / ${secure.getCipher().name}`);
  return { socket: secure, times };
}

async function resolveHost(target: Target, options: CurlOptions): Promise<readonly string[]> {
  const pinned =
    options.resolve.get(`${target.host.toLowerCase()}:${target.port}`) ??
    options.resolve.get(`${target.host.toLowerCase()}:*`);
  if (pinned !== undefined) return [pinned];
  if (isIP(target.host) !== 0) return [target.host];
  try {
    const found = await lookup(target.host, { all: true, family: options.family, verbatim: true });
    return found.map((entry) => entry.address);
  } catch {
    throw new TransferFailure(curlExit.resolveHost, `Could not resolve host: ${target.host}`);
  }
}

function connectTo(o: {
  readonly address: string;
  readonly port: number;
  readonly signal: AbortSignal;
  readonly timedOut: () => TransferFailure;
}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (o.signal.aborted) {
      reject(o.timedOut());
      return;
    }
    const socket = connect({ host: o.address, port: o.port, noDelay: true });
    const cleanUp = (): void => {
      o.signal.removeEventListener('abort', onAbort);
      socket.removeListener('error', onError);
      socket.removeListener('connect', onConnect);
    };
    const onAbort = (): void => {
      cleanUp();
      socket.destroy();
      reject(o.timedOut());
    };
    const onError = (error: Error): void => {
      cleanUp();
      reject(error);
    };
    const onConnect = (): void => {
      cleanUp();
      resolve(socket);
    };
    o.signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', onError);
    socket.once('connect', onConnect);
  });
}

async function handshake(o: {
  readonly socket: Socket;
  readonly target: Target;
  readonly options: CurlOptions;
  readonly signal: AbortSignal;
  readonly timedOut: () => TransferFailure;
}): Promise<TLSSocket> {
  const { target, options } = o;
  const tls = await import('node:tls');
  const secure = tls.connect({
    socket: o.socket,
    ...(isIP(target.host) === 0 ? { servername: target.host } : {}),
    rejectUnauthorized: !options.insecure,
    ALPNProtocols: [options.http2PriorKnowledge ? 'h2' : 'http/1.1'],
    ...(options.caFile === undefined ? {} : { ca: readPem(options.caFile) }),
    ...(options.certFile === undefined
      ? {}
      : { cert: readPem(options.certFile), key: readPem(options.keyFile ?? options.certFile) }),
  });
  const ready = new Promise<TLSSocket>((resolve, reject) => {
    secure.once('secureConnect', () => resolve(secure));
    secure.once('error', (error) => reject(handshakeFailure(error)));
    secure.once('close', () => {
      reject(
        new TransferFailure(curlExit.tlsConnect, 'TLS connect error: connection closed during handshake'),
      );
    });
  });
  try {
    return await withSignal(ready, o.signal, o.timedOut);
  } catch (error) {
    secure.destroy();
    throw error;
  }
}

function readPem(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new TransferFailure(curlExit.readError, error instanceof Error ? error.message : String(error));
  }
}

/** Rejects with `onAbort()` when the signal fires first. */
export function withSignal<T>(promise: Promise<T>, signal: AbortSignal, onAbort: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(onAbort());
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function describeConnect(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === 'ECONNREFUSED') return "Couldn't connect to server";
  if (code === 'EHOSTUNREACH') return 'No route to host';
  if (code === 'ENETUNREACH') return 'Network is unreachable';
  if (code === 'ETIMEDOUT') return 'Connection timed out';
  return message;
}
