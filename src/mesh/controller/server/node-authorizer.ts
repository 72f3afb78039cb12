import type { SpiffeParts } from '../../identity/spiffe.js';
import { type MeshNames, ownTrustDomains } from '../../rules/trust-domain.js';
import type { Caller } from './token-authenticator.js';

/** Pods as the authorizer needs them: current, and found by where an identity runs. */
export interface PodDirectory {
  /** The pod, or undefined when it is not known. */
  pod(
    namespace: string,
    name: string,
  ): { readonly uid: string; readonly serviceAccount: string; readonly node: string } | undefined;
  /** Whether a pod that has not ended runs under this account on this node. */
  runsOn(at: { readonly namespace: string; readonly serviceAccount: string; readonly node: string }): boolean;
}

export interface NodeAuthorizerDeps {
  readonly pods: PodDirectory;
  /** Accounts of node proxies, as `namespace/serviceaccount`. */
  readonly trustedAccounts: ReadonlySet<string>;
  /** The trust domains whose identities are this mesh's. */
  readonly names: () => MeshNames;
}

/**
 * Decides whether a node proxy may have a certificate for one of its node's workloads. Returns the
 * reason for a refusal, for the log only, or undefined to allow.
 */
export function refuseImpersonation(
  input: { readonly caller: Caller; readonly requested: SpiffeParts },
  deps: NodeAuthorizerDeps,
): string | undefined {
  const { caller, requested } = input;
  const account = `${caller.namespace}/${caller.serviceAccount}`;
  if (!deps.trustedAccounts.has(account)) return `${account} is not a trusted node account`;
  // While the trust domain is changed, node proxies hold descriptions of before.
  if (!ownTrustDomains(deps.names()).includes(requested.trustDomain)) {
    return `trust domain ${requested.trustDomain} is not this mesh's`;
  }
  if (caller.pod === undefined) return "the caller's token is not bound to a pod";
  const pod = deps.pods.pod(caller.namespace, caller.pod.name);
  if (pod === undefined) return `caller pod ${caller.namespace}/${caller.pod.name} is not known`;
  if (pod.uid !== caller.pod.uid) return `caller pod ${caller.namespace}/${caller.pod.name} has another uid`;
  if (pod.serviceAccount !== caller.serviceAccount) return 'the caller pod runs under another account';
  if (pod.node === '') return 'the caller pod is not scheduled';
  const { namespace, serviceAccount } = requested;
  if (!deps.pods.runsOn({ namespace, serviceAccount, node: pod.node })) {
    return `no pod of ${namespace}/${serviceAccount} runs on node ${pod.node}`;
  }
  return undefined;
}
