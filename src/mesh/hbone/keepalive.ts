import type { Http2Session } from 'node:http2';
import { pingIntervalMs, pingTimeoutMs } from './parameters.js';

/**
 * Sends a PING every ten seconds and calls `onDead` once when an answer is missing for twenty. Ends with the session.
 */
export function keepAlive(session: Http2Session, onDead: () => void): void {
  let deadline: NodeJS.Timeout | undefined;
  const stop = (): void => {
    clearInterval(interval);
    clearTimeout(deadline);
  };
  const interval = setInterval(() => {
    if (deadline !== undefined || session.destroyed) return;
    deadline = setTimeout(() => {
      stop();
      onDead();
    }, pingTimeoutMs);
    deadline.unref();
    const isSent = session.ping((error) => {
      if (error !== null) return;
      clearTimeout(deadline);
      deadline = undefined;
    });
    if (!isSent) {
      clearTimeout(deadline);
      deadline = undefined;
    }
  }, pingIntervalMs);
  interval.unref();
  session.once('close', stop);
}
