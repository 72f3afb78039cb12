import type { Writable } from 'node:stream';

/**
 * Makes a stream turn strings into bytes before it queues them. Node's HTTP/2 streams (seen on
 * 20.20) free the memory of strings that are written together before it is sent, so that whatever
 * lands there goes out instead. Node's own HTTP/1 writes heads as strings, and runs on these streams.
 */
export function writeBytesOnly<T extends Writable>(stream: T): T {
  const write = stream.write.bind(stream) as (chunk: unknown, ...rest: unknown[]) => boolean;
  const end = stream.end.bind(stream) as (...args: unknown[]) => T;
  const toBytes = (chunk: unknown, rest: unknown[]): [unknown, ...unknown[]] => {
    if (typeof chunk !== 'string') return [chunk, ...rest];
    const [encoding, ...others] = typeof rest[0] === 'string' ? rest : [undefined, ...rest];
    // The type of a string in the encoding's place is checked just above.
    return [Buffer.from(chunk, encoding as BufferEncoding | undefined), ...others];
  };
  const replacement = {
    write: (chunk: unknown, ...rest: unknown[]): boolean => write(...toBytes(chunk, rest.filter(isGiven))),
    end: (chunk?: unknown, ...rest: unknown[]): T =>
      end(...toBytes(chunk, rest.filter(isGiven)).filter(isGiven)),
  };
  return Object.assign(stream, replacement);
}

function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}
