import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { CertificateSource } from './ca-client.js';
import { systemClock, type Clock } from './clock.js';
import { X509Certificate } from 'node:crypto';
import { rootOf } from './chain.js';
import { type Credentials, withRoots } from './credentials.js';
import type { SpiffeId } from './spiffe.js';
import type { TrustBundle } from './trust-bundle.js';

/** What a state dump shows of one identity. `Unavailable` texts start with that word and carry the last error. */
export interface CertificateState {
  readonly identity: SpiffeId;
  readonly state: string;
  readonly credentials: Credentials | undefined;
}

/** Why a certificate is wanted; a lower number is signed first. */
const priority = { realtime: 0, warmup: 1, background: 2 } as const;

interface Entry {
  readonly identity: SpiffeId;
  credentials: Credentials | undefined;
  error: Error | undefined;
  failureCount: number;
  /** Position in the signing queue, or being signed now; undefined when idle. */
  wanted: number | undefined;
  running: boolean;
  cancelTimer: (() => void) | undefined;
  readonly waiters: Set<(entry: Entry) => void>;
}

const signingMax = 8;
const backoffFirstMs = 1_000;
const backoffMaxMs = 150_000;
const backoffJitter = 0.2;
/** A renewal is never scheduled closer than this, so that very short certificates do not spin. */
const renewMinMs = 500;

/**
 * Keeps one certificate per identity, shared by all workloads of a service account.
 *
 * States of an identity: Initializing (first signing under way) -> Available (valid certificate, renewed at half of
 * its lifetime) or Unavailable (no valid certificate; callers fail at once with the last error while retries back
 * off). A failed renewal keeps the old certificate in service until it expires, never longer.
 */
export class CertificateManager {
  readonly #entries = new Map<SpiffeId, Entry>();
  readonly #source: CertificateSource;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #stopped = new AbortController();
  #runningCount = 0;
  #trust: TrustBundle | undefined;

  constructor(options: { source: CertificateSource; clock?: Clock; random?: () => number }) {
    this.#source = options.source;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? Math.random;
  }

  /**
   * A currently valid certificate for the identity, waiting for the first signing if need be.
   * Rejects (MESH0501) with the authority's last error when there is none.
   */
  async get(identity: SpiffeId, signal?: AbortSignal): Promise<Credentials> {
    const entry = this.#entry(identity);
    const ready = this.#valid(entry);
    if (ready !== undefined) return ready;
    // While a failed identity waits for its next try, callers are told at once instead of queueing up.
    if (entry.error !== undefined && entry.cancelTimer !== undefined) throw this.#unavailable(entry);
    this.#want(entry, priority.realtime);
    await this.#settled(entry, signal);
    const fetched = this.#valid(entry);
    if (fetched === undefined) throw this.#unavailable(entry);
    return fetched;
  }

  /** The certificate if a valid one is at hand; never waits. */
  peek(identity: SpiffeId): Credentials | undefined {
    const entry = this.#entries.get(identity);
    return entry === undefined ? undefined : this.#valid(entry);
  }

  /** Asks for a certificate ahead of the first connection. */
  prefetch(identity: SpiffeId): void {
    const entry = this.#entry(identity);
    if (entry.credentials === undefined && entry.cancelTimer === undefined)
      this.#want(entry, priority.warmup);
  }

  /**
   * Trusts the mesh's roots from now on, in new connections of every identity. Certificates under another root than the
   * signing one are renewed, once for each bundle.
   */
  setTrust(bundle: TrustBundle): void {
    this.#trust = bundle;
    const signingRoot = new X509Certificate(bundle.signingRoot);
    for (const entry of this.#entries.values()) {
      const { credentials } = entry;
      if (credentials === undefined) continue;
      entry.credentials = withRoots(credentials, bundle.roots);
      const chain = credentials.chain.map(({ pem }) => new X509Certificate(pem));
      if (rootOf(chain, [signingRoot]) === undefined) this.#want(entry, priority.background);
    }
  }

  /** Drops an identity whose last workload is gone; its key leaves memory with it. */
  forget(identity: SpiffeId): void {
    const entry = this.#entries.get(identity);
    if (entry === undefined) return;
    entry.cancelTimer?.();
    this.#entries.delete(identity);
    entry.error = new Error('the identity is no longer used on this node');
    this.#release(entry);
  }

  /** Every identity and its state, sorted by name. */
  states(): CertificateState[] {
    return [...this.#entries.values()]
      .sort((a, b) => (a.identity < b.identity ? -1 : 1))
      .map((entry) => ({
        identity: entry.identity,
        state: this.#describe(entry),
        credentials: this.#valid(entry),
      }));
  }

  /** Stops renewals; waiting callers are rejected. */
  stop(): void {
    this.#stopped.abort(new Error('the certificate manager stopped'));
    for (const identity of this.#entries.keys()) this.forget(identity);
  }

  #describe(entry: Entry): string {
    if (this.#valid(entry) !== undefined) return 'Available';
    if (entry.error !== undefined) return `Unavailable: ${entry.error.message}`;
    return entry.credentials === undefined ? 'Initializing' : 'Unavailable: the certificate expired';
  }

  #entry(identity: SpiffeId): Entry {
    let entry = this.#entries.get(identity);
    if (entry === undefined) {
      entry = {
        identity,
        credentials: undefined,
        error: undefined,
        failureCount: 0,
        wanted: undefined,
        running: false,
        cancelTimer: undefined,
        waiters: new Set(),
      };
      this.#entries.set(identity, entry);
    }
    return entry;
  }

  #valid(entry: Entry): Credentials | undefined {
    const credentials = entry.credentials;
    return credentials !== undefined && this.#clock.now() < credentials.notAfterMs ? credentials : undefined;
  }

  #unavailable(entry: Entry): Error {
    const reason = entry.error === undefined ? 'the certificate expired' : messageOf(entry.error);
    if (entry.error instanceof MeshError) return entry.error;
    return new MeshError('MESH0501', `no certificate for ${entry.identity}: ${reason}`, {
      cause: entry.error,
    });
  }

  #want(entry: Entry, level: number): void {
    if (this.#stopped.signal.aborted) {
      entry.error = new Error('the certificate manager stopped');
      this.#release(entry);
      return;
    }
    // The call under way answers everybody who asks meanwhile.
    if (entry.running) return;
    entry.wanted = Math.min(entry.wanted ?? level, level);
    this.#pump();
  }

  /** Starts as many signing calls as allowed, most urgent first. */
  #pump(): void {
    while (this.#runningCount < signingMax) {
      let next: Entry | undefined;
      for (const entry of this.#entries.values()) {
        if (entry.wanted === undefined || entry.running) continue;
        if (next === undefined || entry.wanted < (next.wanted ?? 0)) next = entry;
      }
      if (next === undefined) return;
      void this.#sign(next);
    }
  }

  async #sign(entry: Entry): Promise<void> {
    entry.cancelTimer?.();
    entry.cancelTimer = undefined;
    entry.wanted = undefined;
    entry.running = true;
    this.#runningCount++;
    try {
      entry.credentials = this.#trusting(await this.#source.fetch(entry.identity, this.#stopped.signal));
      entry.error = undefined;
      entry.failureCount = 0;
    } catch (error) {
      entry.error = error instanceof Error ? error : new Error(String(error));
      entry.failureCount++;
    } finally {
      entry.running = false;
      this.#runningCount--;
    }
    if (this.#entries.get(entry.identity) === entry && !this.#stopped.signal.aborted) this.#schedule(entry);
    this.#release(entry);
    this.#pump();
  }

  /** What came with the certificate is trusted as well: the authority may be ahead of the bundle. */
  #trusting(fetched: Credentials): Credentials {
    if (this.#trust === undefined) return fetched;
    return withRoots(fetched, [...this.#trust.roots, ...fetched.roots.map(({ pem }) => pem)]);
  }

  #schedule(entry: Entry): void {
    const credentials = entry.credentials;
    let delayMs: number;
    if (entry.error === undefined && credentials !== undefined) {
      const middleMs = credentials.notBeforeMs + (credentials.notAfterMs - credentials.notBeforeMs) / 2;
      delayMs = Math.max(middleMs - this.#clock.now(), renewMinMs);
    } else {
      const doubledMs = backoffFirstMs * 2 ** Math.min(entry.failureCount - 1, 16);
      const jitter = 1 + (this.#random() * 2 - 1) * backoffJitter;
      delayMs = Math.min(doubledMs, backoffMaxMs) * jitter;
      const valid = this.#valid(entry);
      if (valid !== undefined) {
        delayMs = Math.max(Math.min(delayMs, valid.notAfterMs - this.#clock.now()), renewMinMs);
      }
    }
    entry.cancelTimer = this.#clock.after(delayMs, () => {
      entry.cancelTimer = undefined;
      this.#want(entry, priority.background);
    });
  }

  #settled(entry: Entry, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        entry.waiters.delete(done);
        reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
      };
      const done = (): void => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      if (signal?.aborted === true) {
        abort();
        return;
      }
      signal?.addEventListener('abort', abort, { once: true });
      entry.waiters.add(done);
    });
  }

  #release(entry: Entry): void {
    const waiters = [...entry.waiters];
    entry.waiters.clear();
    for (const waiter of waiters) waiter(entry);
  }
}
