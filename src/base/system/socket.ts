import { Socket } from 'node:net';
import { isIPv6 } from 'node:net';
import { checkCall, libc, SystemCallError } from './libc.js';
import { runInNetns } from './netns.js';
import { afInet, afInet6, decodeSocketAddress, encodeSocketAddress } from './socket-address.js';

const sockStream = 1;
const sockDgram = 2;
const sockNonblockCloexec = 0o4000 | 0o2000000;
const solSocket = 1;
const soReuseaddr = 2;
const soError = 4;
const soReuseport = 15;
const soMark = 36;
const solIp = 0;
const ipFreebind = 15;
const ipTransparent = 19;
const solIpv6 = 41;
const ipv6V6only = 26;
const ipv6Transparent = 75;
const soOriginalDst = 80;

/** Default connect timeout; the HBONE client's. */
const connectTimeoutDefaultMs = 10_000;

export interface SocketOptions {
  /** Network namespace to make the socket in; default: the process's own. */
  readonly netns?: number | undefined;
  /** SO_MARK. */
  readonly mark?: number | undefined;
  /** IP_TRANSPARENT: accept or use addresses that are not the host's own. */
  readonly transparent?: boolean | undefined;
  /** IP_FREEBIND: bind an address that is not (yet) there. */
  readonly freebind?: boolean | undefined;
  readonly reusePort?: boolean | undefined;
}

/** Makes a listening TCP socket and returns its fd, for `server.listen({ fd })`. Throws {@link SystemCallError}. */
export function listenTcp(
  o: SocketOptions & { readonly host: string; readonly port: number; readonly backlog?: number | undefined },
): number {
  return makeSocket(sockStream, o, o.host, (fd) => {
    setInt(fd, solSocket, soReuseaddr, 1);
    bind(fd, o.host, o.port);
    checkCall('listen', libc.listen(fd, o.backlog ?? 511), `${o.host}:${o.port}`);
  });
}

/**
 * Holds a free TCP port of an address for another program of this user that binds it with SO_REUSEPORT; returns
 * the fd to close when that program has ended. Throws {@link SystemCallError}.
 */
export function reserveTcpPort(host: string): number {
  return makeSocket(sockStream, { reusePort: true }, host, (fd) => bind(fd, host, 0));
}

/** Makes a bound UDP socket and returns its fd, for `dgram` `bind({ fd })`. Throws {@link SystemCallError}. */
export function bindUdp(o: SocketOptions & { readonly host: string; readonly port: number }): number {
  return makeSocket(sockDgram, o, o.host, (fd) => bind(fd, o.host, o.port));
}

export interface TcpConnectOptions extends SocketOptions {
  readonly host: string;
  readonly port: number;
  /** Source address to bind; with `transparent` it may be foreign. */
  readonly bindHost?: string | undefined;
  /** Milliseconds; default 10 000. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Connects to an IP address from inside a network namespace. Resolves with a
 * connected socket (half-open allowed, no delay); rejects with an error whose
 * `code` is as Node's (`ECONNREFUSED`, `ETIMEDOUT`, ...).
 */
export function connectTcp(o: TcpConnectOptions): Promise<Socket> {
  return new Promise((resolve, reject) => {
    o.signal?.throwIfAborted();
    const fd = makeSocket(sockStream, o, o.host, (s) => {
      if (o.bindHost !== undefined) bind(s, o.bindHost, 0);
    });
    // The fd is adopted before it is connected: libuv then connects this very socket,
    // which stays in the namespace it was made in. manualStart: there is nothing to read yet.
    const options = { fd, allowHalfOpen: true, manualStart: true };
    const socket = new Socket(options);
    const timer = setTimeout(() => fail(timedOut(o)), o.timeoutMs ?? connectTimeoutDefaultMs);
    const onAbort = () => fail(o.signal?.reason instanceof Error ? o.signal.reason : new Error('aborted'));
    const settle = () => {
      clearTimeout(timer);
      o.signal?.removeEventListener('abort', onAbort);
      socket.off('error', fail);
    };
    function fail(error: Error): void {
      settle();
      socket.on('error', () => undefined); // late errors of a socket nobody uses
      socket.destroy();
      reject(error);
    }
    o.signal?.addEventListener('abort', onAbort, { once: true });
    socket.once('error', fail);
    socket.connect({ host: o.host, port: o.port }, () => {
      settle();
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

/** Where a redirected connection was going (SO_ORIGINAL_DST); undefined when it was not redirected. */
export function originalDestination(socket: Socket): { host: string; port: number } | undefined {
  const fd = fdOf(socket);
  if (fd === undefined) return undefined;
  for (const [level, size] of [
    [solIp, 16],
    [solIpv6, 28],
  ] as const) {
    const out = new Uint8Array(size);
    if (libc.getsockopt(fd, level, soOriginalDst, out, [size]) === 0) return decodeSocketAddress(out);
  }
  return undefined;
}

/** An error of the connection that nothing was told of yet (SO_ERROR), which asking clears; 0 for none. */
export function pendingError(socket: Socket): number {
  const fd = fdOf(socket);
  if (fd === undefined) return 0;
  const out = new Uint8Array(4);
  if (libc.getsockopt(fd, solSocket, soError, out, [4]) !== 0) return 0;
  return new DataView(out.buffer).getInt32(0, true);
}

/** Local port an fd is bound to. */
export function boundPort(fd: number): number {
  const out = new Uint8Array(28);
  checkCall('getsockname', libc.getsockname(fd, out, [28]));
  return decodeSocketAddress(out)?.port ?? 0;
}

/** Closes an fd that no Node object has adopted; errors are of no use to the caller. */
export function closeFd(fd: number): void {
  libc.close(fd);
}

/** The fd below a Node socket, while it is open. Node keeps it private; this is the one place that looks. */
export function fdOf(socket: Socket): number | undefined {
  const handle = (socket as unknown as { _handle?: { fd?: number } | null })._handle;
  const fd = handle?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}

function makeSocket(type: number, o: SocketOptions, host: string, prepare: (fd: number) => void): number {
  const make = (): number => {
    const v6 = isIPv6(host);
    const fd = checkCall('socket', libc.socket(v6 ? afInet6 : afInet, type | sockNonblockCloexec, 0));
    try {
      if (v6 && host === '::') setInt(fd, solIpv6, ipv6V6only, 0);
      if (o.mark !== undefined) setInt(fd, solSocket, soMark, o.mark);
      if (o.reusePort === true) setInt(fd, solSocket, soReuseport, 1);
      if (o.freebind === true) setInt(fd, solIp, ipFreebind, 1);
      if (o.transparent === true) {
        setInt(fd, solIp, ipTransparent, 1);
        if (v6) setInt(fd, solIpv6, ipv6Transparent, 1);
      }
      prepare(fd);
      return fd;
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  };
  return o.netns === undefined ? make() : runInNetns(o.netns, make);
}

function bind(fd: number, host: string, port: number): void {
  const address = encodeSocketAddress(host, port);
  checkCall('bind', libc.bind(fd, address, address.length), `${host}:${port}`);
}

function setInt(fd: number, level: number, name: number, value: number): void {
  const raw = Buffer.alloc(4);
  raw.writeInt32LE(value);
  checkCall('setsockopt', libc.setsockopt(fd, level, name, raw, 4), `level ${level} option ${name}`);
}

function timedOut(o: TcpConnectOptions): SystemCallError {
  const etimedout = 110;
  return new SystemCallError('connect', etimedout, `${o.host}:${o.port}`);
}
