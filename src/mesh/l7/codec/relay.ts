import type { Duplex } from 'node:stream';

/** Two streams to join, with what was already read from each. */
export interface RelayOptions {
  readonly client: Duplex;
  readonly clientHead?: Buffer;
  readonly backend: Duplex;
  readonly backendHead?: Buffer;
  /** Bytes as they pass: received from the client, sent to it. */
  readonly onBytes: (direction: 'received' | 'sent', bytes: number) => void;
  /** Calls once, when both streams are closed. */
  readonly onEnd?: () => void;
}

/**
 * Copies bytes both ways with back-pressure. Each direction ends on its own, so a half-closed
 * connection stays usable; when one side breaks off, the other is broken off too.
 */
export function relay({ client, clientHead, backend, backendHead, onBytes, onEnd }: RelayOptions): void {
  let openCount = 2;
  const follow = (from: Duplex, to: Duplex): void => {
    from.on('error', ignoreError);
    from.once('close', () => {
      // A stream that closed without having ended properly was reset.
      if (!from.readableEnded || !from.writableFinished) to.destroy();
      openCount--;
      if (openCount === 0) onEnd?.();
    });
    // Both directions over: neither side waits for the other's end of the transport.
    from.once('end', () => closeWhenDone(from, to));
    from.once('finish', () => closeWhenDone(from, to));
  };
  follow(client, backend);
  follow(backend, client);
  pass(client, backend, { head: clientHead, onBytes: (bytes) => onBytes('received', bytes) });
  pass(backend, client, { head: backendHead, onBytes: (bytes) => onBytes('sent', bytes) });
}

function pass(
  from: Duplex,
  to: Duplex,
  { head, onBytes }: { head: Buffer | undefined; onBytes: (bytes: number) => void },
): void {
  const hasHead = head !== undefined && head.length > 0;
  if (from.readableEnded) {
    // Nothing can be put back into a stream that ended.
    if (hasHead) onBytes(head.length);
    to.end(head);
    return;
  }
  if (hasHead) from.unshift(head);
  from.pipe(to);
  from.on('data', (chunk: Buffer) => onBytes(chunk.length));
}

function closeWhenDone(a: Duplex, b: Duplex): void {
  const isDone = (stream: Duplex): boolean => stream.readableEnded && stream.writableFinished;
  if (!isDone(a) || !isDone(b)) return;
  a.destroy();
  b.destroy();
}

/** Errors also end in 'close', where they are dealt with. */
function ignoreError(): void {
  return undefined;
}
