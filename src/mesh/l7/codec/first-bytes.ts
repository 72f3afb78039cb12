import type { Duplex } from 'node:stream';

/** What the first bytes of a stream turned out to be. */
export interface FirstBytes<T> {
  /** Undefined when the stream ended or broke without being told apart. */
  readonly found: T | undefined;
  /** What was read of a stream that ended, and cannot be put back; else empty. */
  readonly rest: Buffer;
}

/**
 * Looks at the first bytes of a stream until `decide` returns something other than `more`, then puts
 * them back. A stream may end before that: what it said until then is handed over. How much is held
 * is bounded by `decide`, which sees everything read so far.
 */
export function peekFirst<T extends string>(
  stream: Duplex,
  decide: (bytes: Buffer) => T | 'more',
): Promise<FirstBytes<Exclude<T, 'more'>>> {
  return new Promise((resolve) => {
    let held: Buffer = Buffer.alloc(0);
    const settle = (first: FirstBytes<Exclude<T, 'more'>>): void => {
      stream.off('readable', onReadable);
      stream.off('end', onGone);
      stream.off('close', onGone);
      resolve(first);
    };
    const onGone = (): void => settle({ found: undefined, rest: held });
    const onReadable = (): void => {
      for (let chunk = read(stream); chunk !== undefined; chunk = read(stream)) {
        held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
        const decision = decide(held);
        if (decision !== 'more') {
          stream.unshift(held);
          // `more` is excluded by the line above; the compiler cannot see it through the type parameter.
          settle({ found: decision as Exclude<T, 'more'>, rest: Buffer.alloc(0) });
          return;
        }
      }
    };
    stream.on('readable', onReadable);
    stream.once('end', onGone);
    stream.once('close', onGone);
  });
}

function read(stream: Duplex): Buffer | undefined {
  const chunk: unknown = stream.read();
  return Buffer.isBuffer(chunk) ? chunk : undefined;
}
