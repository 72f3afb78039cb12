import { Agent, request } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';

/** What one request came to: undefined when fine, otherwise why not. */
export type Outcome = string | undefined;

/** Sends requests of a load; `close` ends its connections. */
export interface Sender {
  send(): Promise<Outcome>;
  close(): void;
}

export interface SenderOptions {
  readonly url: URL;
  readonly connections: number;
  readonly isEachNew: boolean;
  /** Requests take the connections in turn, each keeping to one; else they take whichever is free. */
  readonly isSpread: boolean;
  readonly timeoutMs: number;
}

const userAgent = 'meshctl-tool-load';

/** HTTP/1.1 on at most so many kept-alive connections, or a new one for each request. */
export function http1Sender({ url, connections, isEachNew, isSpread, timeoutMs }: SenderOptions): Sender {
  const maxSockets = isSpread ? 1 : connections;
  const agents = Array.from(
    { length: isEachNew ? 0 : connections / maxSockets },
    () => new Agent({ keepAlive: true, maxSockets }),
  );
  let next = 0;
  const headers = { 'user-agent': userAgent, connection: isEachNew ? 'close' : 'keep-alive' };
  const send = (): Promise<Outcome> =>
    new Promise((resolve) => {
      let hasReply = false;
      const outgoing = request(url, { agent: agents[next++ % agents.length] ?? false, headers });
      const timer = setTimeout(() => {
        resolve('timeout');
        outgoing.destroy();
      }, timeoutMs);
      const settle = (outcome: Outcome): void => {
        clearTimeout(timer);
        resolve(outcome);
      };
      outgoing.once('response', (reply) => {
        hasReply = true;
        const status = reply.statusCode ?? 0;
        reply.resume();
        reply.once('end', () => settle(status < 400 ? undefined : `status ${status}`));
        reply.once('error', () => settle('truncated reply'));
      });
      outgoing.on('error', (error: NodeJS.ErrnoException) => {
        const isHangUp = error.code === 'ECONNRESET' && error.syscall === undefined;
        settle(hasReply ? 'truncated reply' : isHangUp ? 'empty reply' : (error.code ?? error.message));
      });
      outgoing.end();
    });
  return {
    send,
    close: () => {
      for (const agent of agents) agent.destroy();
    },
  };
}

/** HTTP/2 without TLS, by prior knowledge, over so many connections in turn; a broken one is made anew. */
export function http2Sender({ url, connections, isEachNew, timeoutMs }: SenderOptions): Sender {
  const sessions = new Map<number, ClientHttp2Session>();
  let next = 0;
  const open = (): ClientHttp2Session => {
    const session = connect(url.origin);
    session.on('error', () => undefined); // its streams report it
    return session;
  };
  const sessionFor = (slot: number): ClientHttp2Session => {
    const known = sessions.get(slot);
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const session = open();
    sessions.set(slot, session);
    return session;
  };
  const send = (): Promise<Outcome> =>
    new Promise((resolve) => {
      const session = isEachNew ? open() : sessionFor(next++ % connections);
      let status = 0;
      const stream = session.request({ ':path': `${url.pathname}${url.search}`, 'user-agent': userAgent });
      const settle = (outcome: Outcome): void => {
        clearTimeout(timer);
        if (isEachNew) session.close();
        resolve(outcome);
      };
      const timer = setTimeout(() => {
        settle('timeout');
        stream.destroy();
      }, timeoutMs);
      stream.once('response', (headers) => {
        status = Number(headers[':status']);
      });
      stream.once('error', (error: NodeJS.ErrnoException) =>
        settle(status > 0 ? 'truncated reply' : (error.code ?? error.message)),
      );
      stream.once('close', () =>
        settle(status === 0 ? 'empty reply' : status < 400 ? undefined : `status ${status}`),
      );
      stream.resume();
      stream.end();
    });
  return {
    send,
    close: () => {
      for (const session of sessions.values()) session.destroy();
    },
  };
}
