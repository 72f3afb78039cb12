import type { Resource } from '#base/kube/resource.js';
import { type Configuration, kindKey } from '../configuration/configuration.js';
import { type Finding, subjectText } from '../findings/finding.js';
import { meshPodAdmission } from './admission-check.js';
import type { ConfigurationCheck } from './configuration-check.js';
import { l4Policies } from './l4-policies-check.js';
import { mistypedLabels } from './mistyped-labels.js';
import { networkPoliciesCheck } from './network-policies-check.js';
import { peerAuthenticationScopes } from './peer-authentication-check.js';
import { policyNames } from './policy-names-check.js';
import { gatewayReferences } from './routes-check.js';
import { servicesCheck } from './services-check.js';
import { sidecarLeftovers } from './sidecar-leftovers-check.js';
import { policyTargets } from './policy-targets-check.js';
import { statusConditions } from './status-conditions-check.js';
import { unhonoredConfiguration } from './unhonored-check.js';
import { waypointBindings } from './waypoint-bindings-check.js';
import { meshPartsReachable } from './waypoint-network-check.js';
import { waypointUse } from './waypoint-use-check.js';

/** Every check of configuration. `analyze` runs all; `describe`, `status` and `verify-install` use the same. */
export const configurationChecks: readonly ConfigurationCheck[] = [
  mistypedLabels,
  waypointBindings,
  waypointUse,
  policyTargets,
  policyNames,
  l4Policies,
  peerAuthenticationScopes,
  networkPoliciesCheck,
  meshPartsReachable,
  sidecarLeftovers,
  servicesCheck,
  gatewayReferences,
  meshPodAdmission,
  unhonoredConfiguration,
];

/** Kinds that the checks read. */
export function checkedResources(): readonly Resource[] {
  const all = [...configurationChecks, statusConditions].flatMap(({ reads }) => reads);
  return [...new Map(all.map((resource) => [kindKey(resource), resource])).values()];
}

/** What all checks find, and what could not be seen; not yet folded. */
export function checkConfiguration(configuration: Configuration): readonly Finding[] {
  const found = configurationChecks.flatMap(({ run }) => run(configuration));
  const explained = new Set(
    found
      .flatMap(({ subject, concerns = [] }) => [...(subject === undefined ? [] : [subject]), ...concerns])
      .map(subjectText),
  );
  // What the controller complains about is news only where no check names the cause.
  const complaints = statusConditions
    .run(configuration)
    .filter(({ subject }) => subject === undefined || !explained.has(subjectText(subject)));
  return [...found, ...complaints, ...configuration.unseen];
}
