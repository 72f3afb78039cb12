import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { pendingError } from '#base/system/socket.js';

/**
 * Ends a stream so that the far side cannot take what it got for all there is: RST on TCP, RST_STREAM with an error on
 * HTTP/2. (Destroying ends a socket with FIN, and closing an HTTP/2 stream sends END_STREAM before the reset.)
 */
export function breakOff(stream: Duplex): void {
  if (stream.destroyed) return;
  stream.on('error', ignoreError);
  if (stream instanceof Socket) {
    // libuv cannot reset while the FIN is on its way out, and would leave the socket open.
    if (stream.writableEnded && !stream.writableFinished && stream.writableLength === 0) {
      stream.once('finish', () => breakOff(stream));
      return;
    }
    try {
      stream.resetAndDestroy();
      return;
    } catch {
      // Not TCP: it cannot be told apart from an end.
    }
  }
  stream.destroy(new Error('broken off'));
}

/**
 * Whether the far side broke the stream off: asked at its `end`, which comes then too, or after its `close`. A reset
 * right behind data reaches Node's sockets as an end (libuv reads up to the data and reports a hang-up as EOF), so the
 * kernel is asked.
 */
export function isBrokenOff(stream: Duplex): boolean {
  if (stream.errored !== null || known.has(stream)) return true;
  if ('rstCode' in stream && typeof stream.rstCode === 'number' && stream.rstCode !== 0) return true;
  if (!(stream instanceof Socket) || pendingError(stream) === 0) return false;
  known.add(stream);
  return true;
}

/** Sockets the kernel reported an error of, which it does once. */
const known = new WeakSet<Duplex>();

/** It also ends in 'close', where it is dealt with. */
function ignoreError(): void {
  return undefined;
}
