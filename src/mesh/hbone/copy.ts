import type { Duplex } from 'node:stream';

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

/**
 * Moves bytes both ways between two half-open duplexes until both directions ended. The end of one side ends only
 * that direction. A reset of one side is swallowed and becomes an orderly end of the other. Resolves, never rejects.
 */
export function copyBoth(a: Duplex, b: Duplex, counters: CopyCounters): Promise<void> {
  return new Promise((resolve) => {
    let openCount = 2;
    const closed = (other: Duplex): void => {
      openCount--;
      if (!other.destroyed) wind(other);
      if (openCount === 0) resolve();
    };
    a.on('error', ignoreError);
    b.on('error', ignoreError);
    a.once('close', () => closed(b));
    b.once('close', () => closed(a));
    pump(a, b, (bytes) => {
      counters.aToB += bytes;
    });
    pump(b, a, (bytes) => {
      counters.bToA += bytes;
    });
    if (a.destroyed) queueMicrotask(() => a.emit('close'));
    if (b.destroyed) queueMicrotask(() => b.emit('close'));
  });
}

/**
 * One direction. The first chunk of a turn of the event loop is written at once; further chunks of the same turn are
 * gathered into one vectored write, because HTTP/2 hands out many small frames of one large read.
 */
function pump(from: Duplex, to: Duplex, count: (bytes: number) => void): void {
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
  from.once('end', () => {
    // end() writes what is corked.
    if (!to.destroyed && !to.writableEnded) to.end();
  });
  // A socket accepted in paused state does not start by having a listener.
  from.resume();
}

/** Ends a side whose counterpart is gone: what it was sent still arrives, what it sends is dropped. */
function wind(side: Duplex): void {
  if (!side.writableEnded) side.end();
  side.resume();
  if (side.writableFinished) side.destroy();
  else side.once('finish', () => side.destroy());
}

function ignoreError(): void {
  return undefined;
}
