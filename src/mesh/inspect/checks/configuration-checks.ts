import type { Resource } from '#base/kube/resource.js';
import { type Configuration, kindKey } from '../configuration/configuration.js';
import type { Finding } from '../findings/finding.js';
import type { ConfigurationCheck } from './configuration-check.js';
import { l4Policies } from './l4-policies-check.js';
import { mistypedLabels } from './mistyped-labels.js';
import { networkPoliciesCheck } from './network-policies-check.js';
import { servicesCheck } from './services-check.js';
import { sidecarLeftovers } from './sidecar-leftovers-check.js';
import { policyTargets } from './policy-targets-check.js';
import { waypointBindings } from './waypoint-bindings-check.js';

/** Every check of configuration. `analyze` runs all; `describe`, `status` and `verify-install` use the same. */
export const configurationChecks: readonly ConfigurationCheck[] = [
  mistypedLabels,
  waypointBindings,
  policyTargets,
  l4Policies,
  networkPoliciesCheck,
  sidecarLeftovers,
  servicesCheck,
];

/** Kinds that the checks read. */
export function checkedResources(): readonly Resource[] {
  const all = configurationChecks.flatMap(({ reads }) => reads);
  return [...new Map(all.map((resource) => [kindKey(resource), resource])).values()];
}

/** What all checks find, and what could not be seen; not yet folded. */
export function checkConfiguration(configuration: Configuration): readonly Finding[] {
  return [...configurationChecks.flatMap(({ run }) => run(configuration)), ...configuration.unseen];
}
