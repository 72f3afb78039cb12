import type { DeltaDiscoveryRequest } from '../gen/envoy/discovery_pb.js';
import { type CompleteStates, Push } from './push.js';
import { encodeDeltaResponse, encodeEntries } from './resource.js';
import type { ResourceSource, Subscriber } from './source.js';
import {
  Subscription,
  type SubscriptionAnswer,
  type RequestOutcome,
  type SubscriptionStatus,
} from './subscription.js';
import type { WriteBudget } from './write-budget.js';

/** Requests of one client waiting to be served; beyond it the stream is not read any further. */
export const maxQueuedRequests = 64;
/** Pushes waiting for one client before they are merged: most clients take each as it comes. */
const separatePushes = 8;
/**
 * Changed names waiting for one slow client. A client that falls further behind is disconnected:
 * on reconnecting it states what it holds and gets exactly the difference.
 */
export const maxPendingNames = 500_000;

/** The stream under a connection. */
export interface DeltaStream {
  /** Hands bytes to the transport; resolves once the transport takes more. Rejects when the stream is gone. */
  write(bytes: Buffer): Promise<void>;
  /** Stops or resumes reading requests. */
  setReading(isReading: boolean): void;
  /** Ends the stream with an error for the client. */
  fail(reason: 'overloaded' | 'internal', message: string): void;
}

/** Events a connection reports, for metrics and logs. */
export interface ConnectionEvents {
  request(typeUrl: string, outcome: RequestOutcome, detail: string | undefined): void;
  sent(push: { readonly typeUrl: string; readonly sizeBytes: number; readonly tookMs: number }): void;
}

export interface ConnectionDeps {
  readonly stream: DeltaStream;
  readonly subscriber: Subscriber;
  /** In the order in which a push visits the types. */
  readonly sources: readonly ResourceSource[];
  readonly events: ConnectionEvents;
  /** Version of the state that reads see now. */
  readonly currentVersion: () => string;
  readonly now: () => number;
  /** What the streams of a server share: complete states, and room for large responses. */
  readonly shared?: { readonly complete: CompleteStates; readonly budget: WriteBudget };
}

/** One type's share of a push. */
interface Step {
  readonly subscription: Subscription;
  readonly answer: SubscriptionAnswer;
}

/**
 * One delta stream: queues its requests and merges pushes that arrive while it is busy writing.
 * Requests are served before pushes; a slow client delays only itself. One task at a time writes.
 */
export class Connection {
  readonly subscriber: Subscriber;
  readonly #deps: ConnectionDeps;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #requests: DeltaDiscoveryRequest[] = [];
  /** Pushes this client is still owed, and how many names they hold. */
  #pending: Push[] = [];
  #pendingCount = 0;
  #nonceCount = 0;
  #isReading = true;
  #isClosed = false;
  #isBusy = false;

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
    this.subscriber = deps.subscriber;
  }

  /** Queues a request of the client. */
  receive(request: DeltaDiscoveryRequest): void {
    if (this.#isClosed) return;
    this.#requests.push(request);
    if (this.#requests.length >= maxQueuedRequests && this.#isReading) {
      this.#isReading = false;
      this.#deps.stream.setReading(false);
    }
    this.#wake();
  }

  /** Queues a push; those that arrive while the client is busy are served as one. */
  push(push: Push): void {
    if (this.#isClosed) return;
    // Nothing is owed for a type that was not asked for: its first request gets the current state.
    if (![...push.changed.keys()].some((typeUrl) => this.#subscriptions.has(typeUrl))) return;
    this.#pending.push(push);
    if (this.#pending.length > separatePushes) this.#pending = [Push.merge(this.#pending)];
    this.#pendingCount = this.#pending.reduce((count, { changed }) => count + countNames(changed), 0);
    if (this.#pendingCount > maxPendingNames) {
      this.close();
      this.#deps.stream.fail('overloaded', 'too many changes are waiting for this client');
      return;
    }
    this.#wake();
  }

  /** Drops everything queued; the stream itself is ended by its owner. */
  close(): void {
    this.#isClosed = true;
    this.#requests.length = 0;
    this.#pending = [];
    this.#pendingCount = 0;
  }

  /** State of every subscription, by type URL. */
  status(): ReadonlyMap<string, SubscriptionStatus> {
    return new Map([...this.#subscriptions].map(([typeUrl, sub]) => [typeUrl, sub.status]));
  }

  /** Whether every response so far was acknowledged and no change is waiting. */
  get isCaughtUp(): boolean {
    if (this.#pending.length > 0 || this.#requests.length > 0) return false;
    return [...this.#subscriptions.values()].every(({ status }) => status.sentNonce === status.ackedNonce);
  }

  #wake(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#drain().catch((error: unknown) => {
      // A failed write means the peer is gone; anything else must not go unnoticed by the client.
      if (!this.#isClosed) this.#deps.stream.fail('internal', String(error));
      this.close();
    });
  }

  async #drain(): Promise<void> {
    try {
      while (!this.#isClosed) {
        const request = this.#requests.shift();
        if (request !== undefined) {
          this.#resumeReading();
          await this.#serve(request);
        } else if (this.#pending.length > 0) {
          await this.#servePush();
        } else {
          return;
        }
      }
    } finally {
      // In the same turn as the last look at the queues: work that arrives later must find it idle.
      this.#isBusy = false;
    }
  }

  #resumeReading(): void {
    if (this.#isReading || this.#requests.length >= maxQueuedRequests / 2) return;
    this.#isReading = true;
    this.#deps.stream.setReading(true);
  }

  async #serve(request: DeltaDiscoveryRequest): Promise<void> {
    const subscription = this.#subscriptionFor(request.typeUrl);
    if (subscription === undefined) {
      this.#deps.events.request(request.typeUrl, 'none', 'unknown type');
      // An unknown type is answered once with nothing, so that no client waits for it forever.
      if (request.responseNonce === '') await this.#sendUnknown(request.typeUrl);
      return;
    }
    const { outcome, answer } = subscription.onRequest(request, this.#deps.now());
    this.#deps.events.request(request.typeUrl, outcome, request.errorDetail?.message);
    if (answer !== undefined) await this.#send({ subscription, answer });
  }

  /**
   * Serves what is pending. New policies leave before the addresses that refer to them and obsolete
   * ones after: a proxy treats a policy it does not know as absent, so any other order would leave a
   * moment in which a workload runs without its policy.
   */
  async #servePush(): Promise<void> {
    const owed = Push.merge(this.#pending);
    this.#pending = [];
    this.#pendingCount = 0;
    const steps: Step[] = [];
    const removals: Step[] = [];
    for (const source of this.#deps.sources) {
      const subscription = this.#subscriptions.get(source.typeUrl);
      if (subscription === undefined || !owed.changed.has(source.typeUrl)) continue;
      const answer = subscription.onPush(owed);
      if (answer === undefined) continue;
      if (source.removesLast && answer.removed.length > 0) {
        removals.push({ subscription, answer: { resources: [], removed: answer.removed } });
        if (answer.resources.length > 0) steps.push({ subscription, answer: { ...answer, removed: [] } });
      } else {
        steps.push({ subscription, answer });
      }
    }
    for (const step of [...steps, ...removals]) {
      if (this.#isClosed) return;
      await this.#send(step);
    }
  }

  async #send({ subscription, answer }: Step): Promise<void> {
    const encoded = answer.encoded ?? encodeEntries(answer.resources);
    const write = () => this.#write(subscription, { encoded, removed: answer.removed });
    await (this.#deps.shared?.budget.spend(encoded.length, write) ?? write());
  }

  async #write(
    subscription: Subscription,
    content: { readonly encoded: Buffer; readonly removed: readonly string[] },
  ): Promise<void> {
    if (this.#isClosed) return;
    const version = this.#deps.currentVersion();
    const nonce = this.#nextNonce(version);
    const startMs = this.#deps.now();
    const { typeUrl } = subscription;
    const bytes = encodeDeltaResponse({ typeUrl, pushVersion: version, nonce, ...content });
    // Recorded before the write: the acknowledgement can arrive while the write is still pending.
    subscription.sent({ nonce, version, atMs: startMs });
    await this.#deps.stream.write(bytes);
    this.#deps.events.sent({ typeUrl, sizeBytes: bytes.length, tookMs: this.#deps.now() - startMs });
  }

  async #sendUnknown(typeUrl: string): Promise<void> {
    const version = this.#deps.currentVersion();
    const nonce = this.#nextNonce(version);
    await this.#deps.stream.write(
      encodeDeltaResponse({ typeUrl, pushVersion: version, nonce, encoded: encodeEntries([]), removed: [] }),
    );
  }

  #nextNonce(version: string): string {
    this.#nonceCount += 1;
    return `${version}-${this.#nonceCount}`;
  }

  #subscriptionFor(typeUrl: string): Subscription | undefined {
    const existing = this.#subscriptions.get(typeUrl);
    if (existing !== undefined) return existing;
    const source = this.#deps.sources.find((candidate) => candidate.typeUrl === typeUrl);
    if (source === undefined) return undefined;
    const subscription = new Subscription(source, this.subscriber, this.#deps.shared?.complete);
    this.#subscriptions.set(typeUrl, subscription);
    return subscription;
  }
}

function countNames(changed: Push['changed']): number {
  let count = 0;
  for (const names of changed.values()) count += names.size;
  return count;
}
