import type { DeltaDiscoveryRequest } from '../gen/envoy/discovery_pb.js';
import type { CompleteStates, Push } from './push.js';
import type { WireResource } from './resource.js';
import type { ResourceSource, Subscriber } from './source.js';

/** Most names one on-demand subscription may hold; beyond it further names are ignored. */
export const maxSubscribedNames = 200_000;

/** Resources and removals to send; undefined stands for "send nothing". */
export interface SubscriptionAnswer {
  readonly resources: readonly WireResource[];
  readonly removed: readonly string[];
  /** The resources encoded, where that is shared with others. */
  readonly encoded?: Buffer;
}

/** What diagnostics show of one subscription. Times are milliseconds since the epoch. */
export interface SubscriptionStatus {
  readonly isWildcard: boolean;
  readonly sentNonce: string;
  readonly ackedNonce: string;
  /** Push version of the last response sent and acknowledged. */
  readonly sentVersion: string;
  readonly ackedVersion: string;
  readonly sentAtMs: number | undefined;
  readonly ackedAtMs: number | undefined;
  readonly rejectCount: number;
  readonly lastError: string | undefined;
}

/** What a request turned out to be, for the metrics. */
export type RequestOutcome = 'first' | 'ack' | 'nack' | 'stale' | 'change' | 'none';

/**
 * One type on one delta stream.
 *
 * States: new (no request yet) -> wildcard | on-demand. The kind is decided by the first request
 * and kept for the stream, as upstream does. Pure bookkeeping: no I/O, no clock.
 */
export class Subscription {
  readonly #source: ResourceSource;
  readonly #subscriber: Subscriber;
  #isStarted = false;
  #isWildcard = true;
  /** Names asked for on demand. */
  readonly #names = new Set<string>();
  /** Names the client holds; kept only where removals cannot be computed otherwise. */
  readonly #held = new Set<string>();
  #sent: { nonce: string; version: string; atMs: number } | undefined;
  #acked: { nonce: string; version: string; atMs: number } | undefined;
  #rejectCount = 0;
  #lastError: string | undefined;

  readonly #complete: CompleteStates | undefined;

  /** `complete`: what those who come with nothing share. */
  constructor(source: ResourceSource, subscriber: Subscriber, complete?: CompleteStates) {
    this.#source = source;
    this.#subscriber = subscriber;
    this.#complete = complete;
  }

  get typeUrl(): string {
    return this.#source.typeUrl;
  }

  get status(): SubscriptionStatus {
    return {
      isWildcard: this.#isWildcard,
      sentNonce: this.#sent?.nonce ?? '',
      ackedNonce: this.#acked?.nonce ?? '',
      sentVersion: this.#sent?.version ?? '',
      ackedVersion: this.#acked?.version ?? '',
      sentAtMs: this.#sent?.atMs,
      ackedAtMs: this.#acked?.atMs,
      rejectCount: this.#rejectCount,
      lastError: this.#lastError,
    };
  }

  /** Takes one request in; returns what to answer now, if anything, and what the request was. */
  onRequest(
    request: DeltaDiscoveryRequest,
    nowMs: number,
  ): { readonly outcome: RequestOutcome; readonly answer: SubscriptionAnswer | undefined } {
    if (!this.#isStarted) return { outcome: 'first', answer: this.#start(request) };
    const outcome = this.#recordReply(request, nowMs);
    const hasChange =
      request.resourceNamesSubscribe.length > 0 || request.resourceNamesUnsubscribe.length > 0;
    if (!hasChange) return { outcome, answer: undefined };
    return { outcome: outcome === 'none' ? 'change' : outcome, answer: this.#change(request) };
  }

  /** What a push means for this subscription; undefined when nothing in it concerns the subscriber. */
  onPush(push: Push): SubscriptionAnswer | undefined {
    if (!this.#isStarted) return undefined;
    const shared = this.#isWildcard ? push.shared(this.#source) : undefined;
    if (shared !== undefined) {
      const removed = shared.removed.filter((name) => this.#mayHold(name));
      if (shared.resources.length === 0 && removed.length === 0) return undefined;
      return this.#remember({ ...shared, removed });
    }
    const changed = push.changed.get(this.typeUrl) ?? [];
    const resources = new Map<string, WireResource>();
    const removed = new Set<string>();
    for (const name of changed) {
      const found = this.#source.lookup(name, this.#subscriber);
      if (found.length === 0) {
        if (this.#mayHold(name)) removed.add(name);
        continue;
      }
      for (const resource of found) {
        if (this.#wants(resource)) resources.set(resource.name, resource);
      }
    }
    // A name can be looked up both as gone (an alias) and as present; what exists wins.
    for (const name of resources.keys()) removed.delete(name);
    if (resources.size === 0 && removed.size === 0) return undefined;
    return this.#remember({ resources: [...resources.values()], removed: [...removed] });
  }

  /** Records that a response left with this nonce. */
  sent(response: { readonly nonce: string; readonly version: string; readonly atMs: number }): void {
    this.#sent = response;
  }

  #start(request: DeltaDiscoveryRequest): SubscriptionAnswer {
    this.#isStarted = true;
    const asked = request.resourceNamesSubscribe;
    const withdrawn = new Set(request.resourceNamesUnsubscribe);
    // Subscribing and unsubscribing `*` at once is how a client says "on demand, nothing yet".
    const asksForAll = asked.length === 0 || asked.includes('*');
    this.#isWildcard = !this.#source.allowsOnDemand || (asksForAll && !withdrawn.has('*'));
    const held = request.initialResourceVersions;
    // What the client kept counts as held even when it is current and therefore not sent again.
    if (!this.#isWildcard || this.#source.tracksNames) {
      for (const name of Object.keys(held)) this.#held.add(name);
    }
    if (this.#isWildcard) {
      const isEmpty = Object.keys(held).length === 0;
      const complete = isEmpty ? this.#complete?.of(this.#source) : undefined;
      return this.#remember(complete ?? this.#diffAgainst(held, this.#source.all(this.#subscriber)));
    }
    this.#addNames([...asked, ...Object.keys(held)].filter((name) => name !== '*' && !withdrawn.has(name)));
    return this.#remember(this.#diffAgainst(held, this.#lookupAll(this.#names).resources, this.#names));
  }

  /** ACK, NACK, stale or neither. */
  #recordReply(request: DeltaDiscoveryRequest, nowMs: number): RequestOutcome {
    if (request.errorDetail !== undefined) {
      this.#rejectCount += 1;
      this.#lastError = request.errorDetail.message.slice(0, maxErrorChars);
      return 'nack';
    }
    if (request.responseNonce === '') return 'none';
    if (this.#sent === undefined || request.responseNonce !== this.#sent.nonce) return 'stale';
    this.#acked = { nonce: this.#sent.nonce, version: this.#sent.version, atMs: nowMs };
    this.#lastError = undefined;
    return 'ack';
  }

  #change(request: DeltaDiscoveryRequest): SubscriptionAnswer {
    // A wildcard stream that names something gets the complete set again (upstream's behavior).
    if (this.#isWildcard)
      return this.#remember({ resources: [...this.#source.all(this.#subscriber)], removed: [] });
    for (const name of request.resourceNamesUnsubscribe) this.#withdraw(name);
    const added = request.resourceNamesSubscribe.filter((name) => name !== '*');
    this.#addNames(added);
    return this.#remember(this.#lookupAll(added));
  }

  /** Forgets a name, and that the client holds what only this name stood for. */
  #withdraw(name: string): void {
    this.#names.delete(name);
    this.#held.delete(name);
    for (const resource of this.#source.lookup(name, this.#subscriber)) {
      if (!this.#isAskedFor(resource)) this.#held.delete(resource.name);
    }
  }

  #lookupAll(names: Iterable<string>): SubscriptionAnswer {
    const resources = new Map<string, WireResource>();
    const removed: string[] = [];
    for (const name of names) {
      const found = this.#source.lookup(name, this.#subscriber);
      if (found.length === 0) removed.push(name);
      for (const resource of found) resources.set(resource.name, resource);
    }
    return { resources: [...resources.values()], removed };
  }

  /** What a client holding `held` (name to version) lacks, and what it holds in vain. */
  #diffAgainst(
    held: Readonly<Record<string, string>>,
    current: Iterable<WireResource>,
    asked: Iterable<string> = [],
  ): SubscriptionAnswer {
    const present = new Set<string>();
    const resources: WireResource[] = [];
    for (const resource of current) {
      present.add(resource.name);
      for (const alias of resource.aliases) present.add(alias);
      if (resource.version !== '' && held[resource.name] === resource.version) continue;
      resources.push(resource);
    }
    const removed = new Set<string>();
    for (const name of Object.keys(held)) if (!present.has(name)) removed.add(name);
    for (const name of asked) if (!present.has(name)) removed.add(name);
    return { resources, removed: [...removed] };
  }

  #addNames(names: readonly string[]): void {
    for (const name of names) {
      if (this.#names.size >= maxSubscribedNames) return;
      this.#names.add(name);
    }
  }

  /**
   * Whether an existing resource is for this subscription. One that the client holds is, even when it
   * left the service it was sent for: the client must learn that.
   */
  #wants(resource: WireResource): boolean {
    return this.#isWildcard || this.#held.has(resource.name) || this.#isAskedFor(resource);
  }

  #isAskedFor(resource: WireResource): boolean {
    const isAsked = (name: string) => this.#names.has(name);
    return isAsked(resource.name) || resource.aliases.some(isAsked) || resource.groups.some(isAsked);
  }

  /** Whether the client may hold the name, so that its removal must be announced. */
  #mayHold(name: string): boolean {
    if (this.#isWildcard && !this.#source.tracksNames) return true;
    return this.#names.has(name) || this.#held.has(name);
  }

  /** Keeps the set of held names equal to what the client holds after this answer. */
  #remember(answer: SubscriptionAnswer): SubscriptionAnswer {
    if (this.#isWildcard && !this.#source.tracksNames) return answer;
    for (const name of answer.removed) this.#held.delete(name);
    for (const resource of answer.resources) this.#held.add(resource.name);
    return answer;
  }
}

/** Longest client error text kept for diagnostics. */
const maxErrorChars = 2_000;
