import { equals } from '@bufbuild/protobuf';
import type { AuthorizationPolicy } from '#base/kube/types.js';
import { parsePolicyJson } from '../../policy/l4/policy-json.js';
import { convertToL4, l4Shortfall } from '../../rules/l4-authorization.js';
import { isConvertedPeerAuth } from '../../rules/peer-authentication.js';
import { appliesAtZtunnel, hasTargetRefs } from '../../rules/policy-targets.js';
import { type Authorization, AuthorizationSchema } from '../../xds/gen/istio/authorization_pb.js';
import { type DumpPolicy, type DumpWorkload, podInDump } from '../ztunnel-dump.js';
import { type AppliedPolicy, headOf, policyKeyOf, type PolicySources } from './applied-policy.js';

/** What the node proxy of the pod does with a policy without targetRefs. */
export function atZtunnel(policy: AuthorizationPolicy, from: PolicySources): AppliedPolicy[] {
  const { pod, mesh, dump } = from;
  const namespace = pod.metadata.namespace ?? '';
  if (!appliesAtZtunnel(policy, { namespace, labels: pod.metadata.labels ?? {} }, mesh.rootNamespace)) {
    return [];
  }
  const conversion = convertToL4(policy, mesh);
  const shortfall = l4Shortfall(conversion);
  const common = { ...headOf(policy), ...(shortfall === undefined ? {} : { shortfall }) };
  if (!from.isEnrolled) {
    return [{ ...common, enforcedBy: 'nothing', isLoaded: false, shortfall: 'the pod is not in the mesh' }];
  }
  if (conversion.authorization === undefined) return [{ ...common, enforcedBy: 'nothing', isLoaded: false }];
  const of = { ...common, enforcedBy: 'ztunnel' };
  if (dump === undefined) return [{ ...of, isLoaded: undefined }];
  const key = policyKeyOf(of);
  const shown = dump.policies.find((p) => policyKeyOf(p) === key);
  if (shown === undefined) return [{ ...of, isLoaded: false, difference: 'ztunnel does not have it' }];
  if (!isInForce(shown, workloadOf(from))) {
    return [{ ...of, isLoaded: false, difference: 'ztunnel has it, but does not apply it to the pod' }];
  }
  const isOther = isSameL4(shown, conversion.authorization) === false;
  return [{ ...of, isLoaded: true, ...(isOther ? { difference: 'ztunnel has another version of it' } : {}) }];
}

/** Undefined when the proxy's form of it cannot be read. */
function isSameL4(shown: DumpPolicy, wanted: Authorization): boolean | undefined {
  try {
    return equals(AuthorizationSchema, parsePolicyJson(shown), wanted);
  } catch {
    return undefined;
  }
}

/** What the node proxy enforces at the pod and no object asks for. */
export function unaskedAtZtunnel(from: PolicySources): AppliedPolicy[] {
  const workload = workloadOf(from);
  if (!from.isEnrolled || workload === undefined) return [];
  const asked = new Set(
    from.policies.filter((policy) => !hasTargetRefs(policy)).map((p) => policyKeyOf(headOf(p))),
  );
  return (from.dump?.policies ?? [])
    .filter((p) => isInForce(p, workload) && !isConvertedPeerAuth(p.name) && !asked.has(policyKeyOf(p)))
    .map((p) => ({
      namespace: p.namespace,
      name: p.name,
      action: p.action.toUpperCase(),
      enforcedBy: 'ztunnel',
      isLoaded: true,
      difference: 'ztunnel enforces it, and there is no such AuthorizationPolicy',
    }));
}

function isInForce(policy: DumpPolicy, workload: DumpWorkload | undefined): boolean {
  if (policy.scope === 'Global') return true;
  if (policy.scope === 'Namespace') return policy.namespace === workload?.namespace;
  return workload?.authorizationPolicies?.includes(policyKeyOf(policy)) === true;
}

function workloadOf({ dump, pod }: PolicySources): DumpWorkload | undefined {
  const { namespace = '', name } = pod.metadata;
  return dump === undefined ? undefined : podInDump(dump, { namespace, name });
}
