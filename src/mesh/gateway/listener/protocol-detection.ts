import type { Duplex } from 'node:stream';
import { peekFirst } from '../../l7/codec/first-bytes.js';
import { sniff } from '../../l7/codec/sniff.js';
import type { ConnectionContext } from '../connection/connection-context.js';
import type { TcpPath, TcpProxy } from './tcp-proxy.js';

/** What a connection to a port nothing was declared about turned out to be. */
export type Detected =
  | { readonly kind: 'http1' | 'http2' }
  | {
      readonly kind: 'tcp';
      /** What a client said that has ended its side already. */
      readonly head: Buffer;
      /** The way to the backend, when that had to be asked. */
      readonly path: TcpPath | undefined;
    }
  /** The client went away first. */
  | { readonly kind: 'gone' };

/** Times of the detection in milliseconds; tests set others. */
export interface DetectionTimes {
  /** A client silent for so long may be waiting for the server's greeting. */
  readonly silentMs: number;
  /** How long the server then has for it. */
  readonly greetingMs: number;
  /** How long bytes that may become a request line are waited for. */
  readonly stalledMs: number;
}

export const detectionDefaults: DetectionTimes = { silentMs: 1_000, greetingMs: 10_000, stalledMs: 5_000 };

/**
 * Tells the protocol of an accepted connection by who speaks first and how. The client's first bytes decide. When there
 * are none, the backend is reached for it: one that speaks unasked is no HTTP server, and its greeting goes to the
 * client; one that does not is let go, and the client may take as long as it likes. (Upstream waits for the client
 * for ever unless mesh option `protocolDetectionTimeout` is set, and afterwards takes late requests for TCP.)
 */
export class ProtocolDetection {
  readonly #tcp: Pick<TcpProxy, 'reach' | 'discard'>;
  readonly #times: DetectionTimes;

  constructor(tcp: Pick<TcpProxy, 'reach' | 'discard'>, times: DetectionTimes = detectionDefaults) {
    this.#tcp = tcp;
    this.#times = times;
  }

  async detect(client: Duplex, context: ConnectionContext): Promise<Detected> {
    const { silentMs, stalledMs } = this.#times;
    const first = await peekFirst(client, sniff, { silentMs, stalledMs });
    if (first.kind !== 'silent') return settle(client, first);
    const greeted = await this.#greeting(client, context);
    return greeted ?? settle(client, await peekFirst(client, sniff, { stalledMs }));
  }

  /** Gives the server its chance, and goes by the client if that speaks first. Undefined: neither did. */
  async #greeting(client: Duplex, context: ConnectionContext): Promise<Detected | undefined> {
    const { stalledMs, greetingMs } = this.#times;
    const over = new AbortController();
    const timer = setTimeout(() => over.abort(), greetingMs);
    const dial = new AbortController();
    const said = peekFirst(client, sniff, { stalledMs, signal: over.signal });
    void said.then(() => dial.abort(new Error('the client spoke first')));
    const path = await this.#tcp.reach(context, dial.signal);
    const isGreeting = path !== undefined && (await Promise.race([greets(path), said.then(() => false)]));
    if (isGreeting) over.abort();
    const first = await said;
    clearTimeout(timer);
    const isHttp = first.kind === 'found' && first.found !== 'tcp';
    // What the client began to say meanwhile, it says to a server that spoke first.
    if (isGreeting && !isHttp && !client.destroyed) return { ...asTcp(first), path };
    if (path !== undefined) this.#tcp.discard(path);
    return first.kind === 'silent' ? undefined : settle(client, first);
  }
}

type FirstSaid = Awaited<ReturnType<typeof peekFirst<ReturnType<typeof sniff>>>>;

function settle(client: Duplex, first: FirstSaid): Detected {
  if (first.kind === 'found' && first.found !== 'tcp') return { kind: first.found };
  if (client.destroyed) return { kind: 'gone' };
  return { ...asTcp(first), path: undefined };
}

/** A client that ended its side, with or without a word, still waits for the answer. */
function asTcp(first: FirstSaid): { readonly kind: 'tcp'; readonly head: Buffer } {
  return { kind: 'tcp', head: first.kind === 'ended' ? first.rest : Buffer.alloc(0) };
}

/** Whether the backend says something before it ends. Its bytes stay in the stream. */
function greets({ backend }: TcpPath): Promise<boolean> {
  return new Promise((resolve) => {
    const decide = (): void => {
      backend.off('readable', decide).off('close', decide);
      resolve(backend.readableLength > 0);
    };
    backend.once('readable', decide);
    backend.once('close', decide);
  });
}
