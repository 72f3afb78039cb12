import type { Duplex } from 'node:stream';

/** How a look at the first bytes of a stream went. */
export type FirstBytes<T> =
  /** They were told apart, and are back in the stream. */
  | { readonly kind: 'found'; readonly found: T }
  /** The stream ended, or broke, before; what it said cannot be put back. */
  | { readonly kind: 'ended'; readonly rest: Buffer }
  /** Nothing came in time. */
  | { readonly kind: 'silent' }
  /** Something came that could become several things, and nothing more in time; it is back in the stream. */
  | { readonly kind: 'stalled' };

/** How long a look may take; undefined: as long as the stream lives. */
export interface PeekLimits {
  /** Without a byte. */
  readonly silentMs?: number | undefined;
  /** From the first byte on. */
  readonly stalledMs?: number | undefined;
  /** Ends the look with `silent` or `stalled`. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Looks at the first bytes of a stream until `decide` returns something other than `more`, then puts them back. How
 * much is held is bounded by `decide`, which sees everything read so far.
 */
export function peekFirst<T extends string>(
  stream: Duplex,
  decide: (bytes: Buffer) => T | 'more',
  limits: PeekLimits = {},
): Promise<FirstBytes<Exclude<T, 'more'>>> {
  return new Promise((resolve) => {
    let held: Buffer = Buffer.alloc(0);
    let timer: NodeJS.Timeout | undefined;
    const settle = (first: FirstBytes<Exclude<T, 'more'>>): void => {
      clearTimeout(timer);
      limits.signal?.removeEventListener('abort', onLate);
      stream.off('readable', onReadable);
      stream.off('end', onGone);
      stream.off('close', onGone);
      resolve(first);
    };
    const onGone = (): void => settle({ kind: 'ended', rest: held });
    const onLate = (): void => {
      if (held.length === 0) {
        settle({ kind: 'silent' });
        return;
      }
      stream.unshift(held);
      settle({ kind: 'stalled' });
    };
    const limit = (ms: number | undefined): void => {
      clearTimeout(timer);
      if (ms !== undefined) timer = setTimeout(onLate, ms);
    };
    const onReadable = (): void => {
      for (let chunk = read(stream); chunk !== undefined; chunk = read(stream)) {
        if (held.length === 0) limit(limits.stalledMs);
        held = held.length === 0 ? chunk : Buffer.concat([held, chunk]);
        const decision = decide(held);
        if (decision !== 'more') {
          stream.unshift(held);
          // `more` is excluded by the line above; the compiler cannot see it through the type parameter.
          settle({ kind: 'found', found: decision as Exclude<T, 'more'> });
          return;
        }
      }
    };
    if (stream.destroyed || stream.readableEnded) {
      onGone();
      return;
    }
    limit(limits.silentMs);
    limits.signal?.addEventListener('abort', onLate, { once: true });
    stream.on('readable', onReadable);
    stream.once('end', onGone);
    stream.once('close', onGone);
    if (limits.signal?.aborted === true) onLate();
  });
}

function read(stream: Duplex): Buffer | undefined {
  const chunk: unknown = stream.read();
  return Buffer.isBuffer(chunk) ? chunk : undefined;
}
