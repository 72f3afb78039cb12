import type { L4Connection } from '../../policy/l4/compile.js';
import type { L4PolicyStore, PolicySubject } from '../../policy/l4/l4-policy-store.js';
import type { ConnectionView, ProxiedConnection } from './connection.js';

/** An inbound connection that a later policy may forbid. */
export interface Guard {
  /** The workload as it is now: policies attached to it later count too. */
  readonly subject: () => PolicySubject;
  readonly connection: L4Connection;
  /** Ends the connection at once. */
  readonly sever: (reason: string) => void;
}

/** The live connections of one workload: shown in dumps, counted for draining, re-checked when policies change. */
export class ConnectionSet {
  readonly #live = new Set<ProxiedConnection>();
  readonly #guards = new Set<Guard>();
  readonly #idleWaiters = new Set<() => void>();

  /** Connections carrying data. */
  get size(): number {
    return this.#live.size;
  }

  add(connection: ProxiedConnection): void {
    this.#live.add(connection);
  }

  remove(connection: ProxiedConnection): void {
    this.#live.delete(connection);
    if (this.#live.size > 0) return;
    for (const waiter of this.#idleWaiters) waiter();
    this.#idleWaiters.clear();
  }

  /** Starts watching a connection for policy changes. Returns the way to stop. */
  guard(guard: Guard): () => void {
    this.#guards.add(guard);
    return () => this.#guards.delete(guard);
  }

  /** Evaluates every guarded connection again and ends those no longer allowed. */
  reevaluate(policies: L4PolicyStore): void {
    for (const guard of this.#guards) {
      const decision = policies.reauthorize(guard.subject(), guard.connection);
      if (decision.isAllowed) continue;
      this.#guards.delete(guard);
      guard.sever(decision.reason ?? 'denied');
    }
  }

  views(): ConnectionView[] {
    return [...this.#live].map((connection) => connection.view());
  }

  flushBytes(): void {
    for (const connection of this.#live) connection.flushBytes();
  }

  /** Resolves when no connection is live, at once if that is so now. */
  idle(): Promise<void> {
    if (this.#live.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.add(resolve));
  }
}
