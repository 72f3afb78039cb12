import { fromBinary } from '@bufbuild/protobuf';
import { authorizeL4, type L4Decision } from '../../policy/l4/authorize.js';
import { compilePolicy, type L4Connection, type L4Policy } from '../../policy/l4/compile.js';
import type { ResourceHandler, XdsResource } from '../../xds/client/delta-client.js';
import { type Authorization, AuthorizationSchema, Scope } from '../../xds/gen/istio/authorization_pb.js';
import { AUTHORIZATION_TYPE } from '../../xds/type-urls.js';
import type { Workload } from './model.js';

/** The part of a workload that policies look at. */
export type PolicySubject = Pick<Workload, 'namespace' | 'authorizationPolicies'>;

/** L4 policies by scope, and the decision for one connection. */
export class PolicyStore implements ResourceHandler {
  readonly typeUrl = AUTHORIZATION_TYPE;
  private readonly byKey = new Map<string, L4Policy>();
  private readonly listeners = new Set<() => void>();

  upsert(resource: XdsResource): void {
    this.put(fromBinary(AuthorizationSchema, resource.value));
  }

  /** Takes a policy. Throws when a part has no meaning; the policy is then in force in its strictest reading. */
  put(source: Authorization): void {
    const { policy, problem } = compilePolicy(source);
    this.byKey.set(policy.key, policy);
    if (problem !== undefined) throw new Error(problem);
  }

  remove(name: string): void {
    this.byKey.delete(name);
  }

  pushed(): void {
    for (const listener of this.listeners) listener();
  }

  /** Calls back after every push. Returns the way to stop. */
  onPush(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** All policies, sorted by key. */
  list(): readonly L4Policy[] {
    return [...this.byKey.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /**
   * Decides about a connection to `subject`. A policy the workload names but that has not arrived refuses the
   * connection: what it would forbid is not known yet.
   */
  authorize(subject: PolicySubject, connection: L4Connection): L4Decision {
    const policies: L4Policy[] = [];
    for (const policy of this.byKey.values()) {
      if (policy.scope === Scope.GLOBAL) policies.push(policy);
      else if (policy.scope === Scope.NAMESPACE && policy.namespace === subject.namespace)
        policies.push(policy);
    }
    for (const key of subject.authorizationPolicies) {
      const policy = this.byKey.get(key);
      if (policy === undefined) {
        return {
          isAllowed: false,
          reason: `policy ${key} has not been received yet`,
          policy: key,
          dryRun: [],
        };
      }
      policies.push(policy);
    }
    return authorizeL4(policies, connection);
  }
}
