import type { Duplex } from 'node:stream';
import { breakOff, isBrokenOff } from './break-off.js';

/** Bytes moved so far; read at any time. */
export interface CopyCounters {
  /** From `a` to `b`. */
  aToB: number;
  bToA: number;
}

/**
 * How much may wait in a destination before its source is paused, and at which level it goes on. Larger than Node's
 * default so that a window of the far end is filled with one wake-up, smaller than the HTTP/2 stream window.
 */
const pauseAtBytes = 1024 * 1024;
const resumeAtBytes = 256 * 1024;

/** What was read of the two sides before, and still has to be passed on. */
export interface CopyHeads {
  readonly a?: Buffer | undefined;
  readonly b?: Buffer | undefined;
}

/**
 * Moves bytes both ways between two half-open duplexes until both directions ended. The end of one side ends only that
 * direction. When one side is broken off, the other is too, behind what was still to be passed on. Resolves, never
 * rejects.
 */
export function copyBoth(a: Duplex, b: Duplex, counters: CopyCounters, heads: CopyHeads = {}): Promise<void> {
  return new Promise((resolve) => {
    let openCount = 2;
    const closed = (from: Duplex, to: Duplex): void => {
      openCount--;
      if (!to.destroyed) {
        if (!from.readableEnded || isBrokenOff(from)) cut(to);
        else wind(to);
      }
      if (openCount === 0) resolve();
    };
    a.on('error', ignoreError);
    b.on('error', ignoreError);
    a.once('close', () => closed(a, b));
    b.once('close', () => closed(b, a));
    pump(a, b, {
      head: heads.a,
      count: (bytes) => {
        counters.aToB += bytes;
      },
    });
    pump(b, a, {
      head: heads.b,
      count: (bytes) => {
        counters.bToA += bytes;
      },
    });
    if (a.closed) queueMicrotask(() => closed(a, b));
    if (b.closed) queueMicrotask(() => closed(b, a));
  });
}

/**
 * One direction. The first chunk of a turn of the event loop is written at once; further chunks of the same turn are
 * gathered into one vectored write, because HTTP/2 hands out many small frames of one large read.
 */
function pump(
  from: Duplex,
  to: Duplex,
  { head, count }: { head: Buffer | undefined; count: (bytes: number) => void },
): void {
  let isPaused = false;
  let isSameTurn = false;
  const written = (): void => {
    if (isPaused && to.writableLength <= resumeAtBytes) {
      isPaused = false;
      from.resume();
    }
  };
  const endTurn = (): void => {
    isSameTurn = false;
    if (to.writableCorked > 0) to.uncork();
  };
  from.on('data', (chunk: Buffer) => {
    count(chunk.length);
    if (to.destroyed || to.writableEnded) return;
    if (isSameTurn) {
      if (to.writableCorked === 0) to.cork();
    } else {
      isSameTurn = true;
      setImmediate(endTurn);
    }
    to.write(chunk, written);
    if (!isPaused && to.writableLength >= pauseAtBytes) {
      isPaused = true;
      from.pause();
    }
  });
  const end = (): void => {
    if (isBrokenOff(from)) from.destroy();
    // end() writes what is corked.
    else if (!to.destroyed && !to.writableEnded) to.end();
  };
  if (from.readableEnded) {
    // Nothing can be put back into a stream that ended.
    if (head !== undefined && head.length > 0) {
      count(head.length);
      to.write(head);
    }
    end();
    return;
  }
  if (head !== undefined && head.length > 0) from.unshift(head);
  from.once('end', end);
  // A socket accepted in paused state does not start by having a listener.
  from.resume();
}

/** Ends a side whose counterpart ended in order: what it was sent still arrives, what it sends is dropped. */
function wind(side: Duplex): void {
  if (!side.writableEnded) side.end();
  side.resume();
  if (side.writableFinished) side.destroy();
  else side.once('finish', () => side.destroy());
}

/** Breaks a side off when what it was sent before has gone out; not at once, because a reset discards it. */
function cut(side: Duplex): void {
  while (side.writableCorked > 0) side.uncork();
  side.resume();
  const timer = setTimeout(() => breakOff(side), flushMaxMs);
  const done = (): void => {
    clearTimeout(timer);
    breakOff(side);
  };
  if (side.writableFinished || (side.writableLength === 0 && !side.writableEnded)) done();
  else if (side.writableEnded) side.once('finish', done);
  else side.write(Buffer.alloc(0), done);
}

/** How long a side that does not read may keep its connection after the other one was broken off. */
const flushMaxMs = 5_000;

/** Errors also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
