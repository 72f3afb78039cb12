import { fromBinary } from '@bufbuild/protobuf';
import { authorizeL4, type L4Decision } from './authorize.js';
import { compileL4Policy, type L4Connection, type L4Policy } from './compile.js';
import type { ResourceHandler, XdsResource } from '../../xds/client/delta-client.js';
import { type Authorization, AuthorizationSchema, Scope } from '../../xds/gen/istio/authorization_pb.js';
import { authorizationType } from '../../xds/type-urls.js';

/** How long a connection waits for a policy its workload names. */
const arrivalWaitMs = 1_000;

/** The part of a workload that policies look at. */
export interface PolicySubject {
  readonly namespace: string;
  /** Keys of the policies that select it. */
  readonly authorizationPolicies: readonly string[];
}

/** L4 policies by scope, and the decision for one connection. */
export class L4PolicyStore implements ResourceHandler {
  readonly typeUrl = authorizationType;
  readonly #byKey = new Map<string, L4Policy>();
  readonly #listeners = new Set<() => void>();

  upsert(resource: XdsResource): void {
    this.put(fromBinary(AuthorizationSchema, resource.value));
  }

  /** Takes a policy. Throws when a part has no meaning; the policy is then in force in its strictest reading. */
  put(source: Authorization): void {
    const { policy, problem } = compileL4Policy(source);
    this.#byKey.set(policy.key, policy);
    if (problem !== undefined) throw new Error(problem);
  }

  remove(name: string): void {
    this.#byKey.delete(name);
  }

  pushed(): void {
    for (const listener of this.#listeners) listener();
  }

  /** Calls back after every push. Returns the way to stop. */
  onPush(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** All policies, sorted by key. */
  list(): readonly L4Policy[] {
    return [...this.#byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /**
   * Waits until every policy the workload names is here. A push brings workloads before policies, so that a policy
   * named a moment ago is usually on its way. Gives up after a second; `authorize` then refuses.
   */
  async arrived(subject: PolicySubject, signal: AbortSignal): Promise<void> {
    const isComplete = (): boolean => subject.authorizationPolicies.every((key) => this.#byKey.has(key));
    if (isComplete()) return;
    await new Promise<void>((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        unsubscribe();
        signal.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, arrivalWaitMs);
      const unsubscribe = this.onPush(() => {
        if (isComplete()) done();
      });
      signal.addEventListener('abort', done, { once: true });
    });
  }

  /**
   * Decides about a connection to `subject`. A policy the workload names but that has not arrived refuses the
   * connection: what it would forbid is not known yet.
   */
  authorize(subject: PolicySubject, connection: L4Connection): L4Decision {
    const missing = subject.authorizationPolicies.find((key) => !this.#byKey.has(key));
    if (missing !== undefined) {
      const reason = `policy ${missing} has not been received yet`;
      return { isAllowed: false, reason, policy: missing, dryRun: [] };
    }
    return this.reauthorize(subject, connection);
  }

  /**
   * Decides again about a connection admitted before, by the policies known now. A named policy that is not here is
   * either gone, or will cause another evaluation when it arrives; neither is a reason to cut a connection.
   */
  reauthorize(subject: PolicySubject, connection: L4Connection): L4Decision {
    const policies: L4Policy[] = [];
    for (const policy of this.#byKey.values()) {
      if (policy.scope === Scope.GLOBAL) policies.push(policy);
      else if (policy.scope === Scope.NAMESPACE && policy.namespace === subject.namespace)
        policies.push(policy);
    }
    for (const key of subject.authorizationPolicies) {
      const policy = this.#byKey.get(key);
      if (policy !== undefined) policies.push(policy);
    }
    return authorizeL4(policies, connection);
  }
}
