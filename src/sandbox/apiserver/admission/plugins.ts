import type { Logger } from '#base/telemetry/log.js';
import type { ServiceAddresses } from '../kinds/service-addresses.js';
import type { Authorizer } from '../rbac/authorizer.js';
import type { Registry } from '../registry/registry.js';
import type { Store } from '../storage/store.js';
import type { AdmissionPlugin } from '../registry/admission.js';
import { certificateRequests } from './certificate-requests.js';
import { defaultClasses } from './default-classes.js';
import { namespaceLifecycle } from './namespace-lifecycle.js';
import { nodeRestriction } from './node-restriction.js';
import { podSecurity } from './pod-security/pod-security.js';
import { podPriority } from './pod-priority.js';
import { defaultTolerationSeconds } from './pods/default-tolerations.js';
import { runtimeClass } from './pods/runtime-class.js';
import { limitRanger } from './quota/limit-range.js';
import { resourceQuota } from './quota/resource-quota.js';
import { rbacEscalation } from './rbac-escalation.js';
import { serviceAccountInjection } from './service-account-injection.js';
import { taintNewNodes } from './taint-new-nodes.js';
import { validatingPolicies } from './policy/validating-policies.js';
import { mutatingWebhooks } from './webhook/mutating.js';
import { validatingWebhooks } from './webhook/validating.js';
import { serviceAllocation } from './service-allocation.js';
import { storageProtection } from './storage-protection.js';

export interface PluginDeps {
  readonly store: Store;
  readonly registry: Registry;
  readonly authorizer: Authorizer;
  readonly addresses: ServiceAddresses;
  readonly caPem: string;
  readonly logger: Logger;
  /** Priority classes that pods may only have in namespaces with a quota for them, as on GKE. */
  readonly limitedPriorityClasses: readonly string[];
}

/** The admission plugins in the order they run. */
export function admissionPlugins(deps: PluginDeps): AdmissionPlugin[] {
  return [
    namespaceLifecycle(deps.store),
    limitRanger(deps.store),
    serviceAccountInjection(deps.store),
    nodeRestriction(deps.store),
    taintNewNodes(),
    podPriority(deps.store),
    runtimeClass(deps.store),
    defaultTolerationSeconds(),
    defaultClasses(deps.store),
    storageProtection(),
    serviceAllocation(deps.addresses),
    rbacEscalation(deps.authorizer),
    certificateRequests(deps.authorizer),
    podSecurity(deps.store),
    mutatingWebhooks(deps),
    validatingPolicies(deps),
    validatingWebhooks(deps),
    resourceQuota(deps),
  ];
}
