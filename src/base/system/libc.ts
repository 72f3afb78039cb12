import koffi from 'koffi';
import { getSystemErrorName } from 'node:util';

/** An error of a system call, shaped like Node's own (`code`, `errno`, `syscall`). */
export class SystemCallError extends Error {
  override readonly name = 'SystemCallError';
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;

  constructor(syscall: string, errno: number, detail = '') {
    const code = errno > 0 ? getSystemErrorName(-errno) : 'UNKNOWN';
    super(`${syscall} ${code}${detail === '' ? '' : ` ${detail}`}`);
    this.errno = -errno;
    this.code = code;
    this.syscall = syscall;
  }
}

const lib = koffi.load('libc.so.6');

/** The few libc calls Node lacks. Each returns -1 on failure; wrap with {@link checkCall}. */
export const libc = {
  setns: lib.func('int setns(int fd, int nstype)'),
  socket: lib.func('int socket(int domain, int type, int protocol)'),
  bind: lib.func('int bind(int fd, const void *addr, uint32_t len)'),
  listen: lib.func('int listen(int fd, int backlog)'),
  connect: lib.func('int connect(int fd, const void *addr, uint32_t len)'),
  accept4: lib.func('int accept4(int fd, void *addr, void *len, int flags)'),
  close: lib.func('int close(int fd)'),
  flock: lib.func('int flock(int fd, int operation)'),
  // Variadic in C; every request in use takes one word.
  ioctl: lib.func('int ioctl(int fd, unsigned long request, ...)'),
  shutdown: lib.func('int shutdown(int fd, int how)'),
  setsockopt: lib.func('int setsockopt(int fd, int level, int name, const void *value, uint32_t len)'),
  getsockopt: lib.func(
    'int getsockopt(int fd, int level, int name, _Out_ uint8_t *value, _Inout_ uint32_t *len)',
  ),
  send: lib.func('int64_t send(int fd, const void *data, size_t len, int flags)'),
  recv: lib.func('int64_t recv(int fd, _Out_ uint8_t *data, size_t len, int flags)'),
  getsockname: lib.func('int getsockname(int fd, _Out_ uint8_t *addr, _Inout_ uint32_t *len)'),
} as const;

/** Returns `result`, or throws {@link SystemCallError} with errno when it is negative. */
export function checkCall(syscall: string, result: number, detail = ''): number {
  if (result < 0) throw new SystemCallError(syscall, koffi.errno(), detail);
  return result;
}

/** errno of the last failed call on this thread. */
export function lastErrno(): number {
  return koffi.errno();
}

export { koffi, lib as libcHandle };
