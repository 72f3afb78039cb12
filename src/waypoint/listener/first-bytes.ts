import type { Duplex } from 'node:stream';

/**
 * Looks at the first bytes of a stream until `decide` returns something other than `more`, then puts
 * them back. Resolves undefined when the stream ended or broke before that. How much is held is
 * bounded by `decide`, which sees everything read so far.
 */
export function peekFirst<T extends string>(
  stream: Duplex,
  decide: (bytes: Buffer) => T | 'more',
): Promise<Exclude<T, 'more'> | undefined> {
  return new Promise((resolve) => {
    let held: Buffer = Buffer.alloc(0);
    const settle = (decision: Exclude<T, 'more'> | undefined): void => {
      stream.off('readable', onReadable);
      stream.off('end', onGone);
      stream.off('close', onGone);
      if (decision !== undefined && held.length > 0) stream.unshift(held);
      resolve(decision);
    };
    const onGone = (): void => settle(undefined);
    const onReadable = (): void => {
      for (let chunk = read(stream); chunk !== undefined; chunk = read(stream)) {
        held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
        const decision = decide(held);
        if (decision !== 'more') {
          // `more` is excluded by the line above; the compiler cannot see it through the type parameter.
          settle(decision as Exclude<T, 'more'>);
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
