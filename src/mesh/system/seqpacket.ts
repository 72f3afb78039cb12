import { chmodSync, rmSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { checkCall, koffi, lastErrno, libc, libcHandle, SystemCallError } from '#base/system/libc.js';

const afUnix = 1;
const sockSeqpacketNonblockCloexec = 5 | 0o4000 | 0o2000000;
const acceptFlags = 0o4000 | 0o2000000;
const solSocket = 1;
const scmRights = 1;
const msgNosignal = 0x4000;
const msgCmsgCloexec = 0x40000000;
const msgTrunc = 0x20;
const msgCtrunc = 0x8;
const eagain = 11;
const eintr = 4;
/**
 * Node has no readiness event for this kind of socket, and a thread of its pool that blocks in poll(2) is
 * missing elsewhere (signing, files). So a waiting end looks again after a pause, short while there is traffic.
 */
const pauseMinMs = 1;
const pauseMaxMs = 20;
/** Both sides of ZDS read into buffers of this size (istio/ztunnel src/inpod/packet.rs). */
const messageMaxBytes = 1_024;
/** Room for the descriptors of one message; more than that is an error of the peer. */
const fdsMax = 4;

const iovec = koffi.struct('iovec', { iov_base: 'void *', iov_len: 'size_t' });
koffi.struct('msghdr', {
  msg_name: 'void *',
  msg_namelen: 'uint32_t',
  msg_iov: koffi.pointer(iovec),
  msg_iovlen: 'size_t',
  msg_control: 'void *',
  msg_controllen: 'size_t',
  msg_flags: 'int',
});
const sendmsg = libcHandle.func('int64_t sendmsg(int fd, const msghdr *msg, int flags)');
const recvmsg = libcHandle.func('int64_t recvmsg(int fd, _Inout_ msghdr *msg, int flags)');

export interface SeqpacketMessage {
  readonly data: Buffer;
  /** Descriptors sent along; the receiver owns and closes them. */
  readonly fds: readonly number[];
}

/** One end of an AF_UNIX SOCK_SEQPACKET connection. */
export class SeqpacketConnection {
  #fd: number;
  #isClosed = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Sends one message, optionally with a descriptor. Rejects with {@link SystemCallError} (EPIPE, ...). */
  async send(data: Uint8Array, fd?: number): Promise<void> {
    const message = {
      msg_name: null,
      msg_namelen: 0,
      msg_iov: [{ iov_base: Buffer.from(data), iov_len: data.length }],
      msg_iovlen: 1,
      msg_control: fd === undefined ? null : encodeRights(fd),
      msg_controllen: fd === undefined ? 0 : rightsSpace(1),
      msg_flags: 0,
    };
    for (let pauseMs = pauseMinMs; ; pauseMs = longer(pauseMs)) {
      this.#assertOpen('sendmsg');
      if (Number(sendmsg(this.#fd, message, msgNosignal)) >= 0) return;
      const errno = lastErrno();
      if (errno !== eagain && errno !== eintr) throw new SystemCallError('sendmsg', errno);
      await delay(pauseMs);
    }
  }

  /**
   * Next message; undefined at the end of the stream or after close(). Rejects with
   * {@link SystemCallError} EMSGSIZE when the peer sent more than fits.
   */
  async receive(): Promise<SeqpacketMessage | undefined> {
    for (let pauseMs = pauseMinMs; ; pauseMs = longer(pauseMs)) {
      if (this.#isClosed) return undefined;
      // Made anew for each try: the call writes back into the description, also when it fails.
      const data = Buffer.alloc(messageMaxBytes);
      const control = Buffer.alloc(rightsSpace(fdsMax));
      const message = {
        msg_name: null,
        msg_namelen: 0,
        msg_iov: [{ iov_base: data, iov_len: data.length }],
        msg_iovlen: 1,
        msg_control: control,
        msg_controllen: control.length,
        msg_flags: 0,
      };
      const size = Number(recvmsg(this.#fd, message, msgCmsgCloexec));
      if (size > 0) {
        const fds = decodeRights(control, Number(message.msg_controllen));
        if ((message.msg_flags & (msgTrunc | msgCtrunc)) !== 0) {
          for (const fd of fds) libc.close(fd);
          throw new SystemCallError('recvmsg', 90, '(message truncated)');
        }
        return { data: data.subarray(0, size), fds };
      }
      if (size === 0) return undefined;
      const errno = lastErrno();
      if (errno === 104) return undefined; // ECONNRESET: the peer died
      if (errno !== eagain && errno !== eintr) throw new SystemCallError('recvmsg', errno);
      await delay(pauseMs);
    }
  }

  /** Ends the connection; a waiting receive() resolves with undefined. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    libc.shutdown(this.#fd, 2);
    libc.close(this.#fd);
  }

  #assertOpen(syscall: string): void {
    if (this.#isClosed) throw new SystemCallError(syscall, 32, '(closed)');
  }
}

export interface SeqpacketServer {
  /** Stops accepting and removes the socket file; accepted connections stay. */
  close(): void;
}

/** Listens on `path` (a stale file is unlinked, mode 0600). Throws {@link SystemCallError}. */
export function listenSeqpacket(
  path: string,
  onConnection: (connection: SeqpacketConnection) => void,
): SeqpacketServer {
  rmSync(path, { force: true });
  const fd = checkCall('socket', libc.socket(afUnix, sockSeqpacketNonblockCloexec, 0));
  let isClosed = false;
  try {
    const address = encodeUnixAddress(path);
    checkCall('bind', libc.bind(fd, address, address.length), path);
    chmodSync(path, 0o600);
    checkCall('listen', libc.listen(fd, 16), path);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  const loop = async (): Promise<void> => {
    let pauseMs = pauseMinMs;
    while (!isClosed) {
      const accepted = libc.accept4(fd, null, null, acceptFlags);
      if (accepted >= 0) {
        pauseMs = pauseMinMs;
        onConnection(new SeqpacketConnection(accepted));
      } else {
        await delay(pauseMs);
        pauseMs = longer(pauseMs);
      }
    }
  };
  void loop();
  return {
    close: () => {
      if (isClosed) return;
      isClosed = true;
      libc.close(fd);
      rmSync(path, { force: true });
    },
  };
}

/** Connects to a listening seqpacket socket. Rejects with {@link SystemCallError} (ENOENT, ECONNREFUSED). */
export async function connectSeqpacket(path: string): Promise<SeqpacketConnection> {
  const fd = checkCall('socket', libc.socket(afUnix, sockSeqpacketNonblockCloexec, 0));
  const address = encodeUnixAddress(path);
  if (libc.connect(fd, address, address.length) < 0) {
    const error = new SystemCallError('connect', lastErrno(), path);
    libc.close(fd);
    return Promise.reject(error);
  }
  return new SeqpacketConnection(fd);
}

function longer(pauseMs: number): number {
  return Math.min(pauseMs * 2, pauseMaxMs);
}

function encodeUnixAddress(path: string): Buffer {
  const bytes = Buffer.from(path);
  const pathMaxBytes = 107;
  if (bytes.length > pathMaxBytes) throw new SystemCallError('bind', 36, `${path} (socket path too long)`);
  const out = Buffer.alloc(2 + bytes.length + 1);
  out.writeUInt16LE(afUnix, 0);
  bytes.copy(out, 2);
  return out;
}

/** CMSG_SPACE for `count` descriptors on a 64-bit system. */
function rightsSpace(count: number): number {
  return 16 + Math.ceil((count * 4) / 8) * 8;
}

function encodeRights(fd: number): Buffer {
  const out = Buffer.alloc(rightsSpace(1));
  out.writeBigUInt64LE(20n, 0);
  out.writeInt32LE(solSocket, 8);
  out.writeInt32LE(scmRights, 12);
  out.writeInt32LE(fd, 16);
  return out;
}

function decodeRights(control: Buffer, length: number): number[] {
  const fds: number[] = [];
  for (let at = 0; at + 16 <= length; ) {
    const size = Number(control.readBigUInt64LE(at));
    if (size < 16) break;
    if (control.readInt32LE(at + 8) === solSocket && control.readInt32LE(at + 12) === scmRights) {
      for (let i = at + 16; i + 4 <= at + size; i += 4) fds.push(control.readInt32LE(i));
    }
    at += Math.ceil(size / 8) * 8;
  }
  return fds;
}
