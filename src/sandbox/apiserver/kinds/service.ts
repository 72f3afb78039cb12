import { objectsOf } from '../../base/json.js';
import { specOf, type Strategy } from '../registry/resource.js';
import { hasClusterIp, hasHealthCheck, isExternal } from './service-facts.js';
import { carryOver, fillClusterIps } from './service-transitions.js';
import { serviceErrors, serviceUpdateErrors } from './service-validation.js';

/** Services. Addresses are given out in admission. */
export const serviceStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.type ??= 'ClusterIP';
    spec.sessionAffinity ??= 'None';
    if (spec.sessionAffinity === 'ClientIP')
      spec.sessionAffinityConfig ??= { clientIP: { timeoutSeconds: 10_800 } };
    else if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
    if (hasClusterIp(spec)) spec.internalTrafficPolicy ??= 'Cluster';
    else delete spec.internalTrafficPolicy;
    if (isExternal(spec)) spec.externalTrafficPolicy ??= 'Cluster';
    if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
    for (const port of objectsOf(spec.ports)) {
      port.protocol ??= 'TCP';
      if (port.targetPort === undefined || port.targetPort === '' || port.targetPort === 0) {
        if (port.port !== undefined) port.targetPort = port.port;
      }
    }
  },
  prepareCreate: (draft) => {
    draft.status = { loadBalancer: {} };
    fillClusterIps(specOf(draft));
  },
  prepareUpdate: (draft, old) => {
    const spec = specOf(draft);
    const before = specOf({ ...old });
    carryOver(spec, before);
    // A port nobody asks for any more, left in by a client that only changed the policy.
    if (
      hasHealthCheck(before) &&
      !hasHealthCheck(spec) &&
      spec.healthCheckNodePort === before.healthCheckNodePort
    )
      delete spec.healthCheckNodePort;
  },
  validate: (service) => serviceErrors(specOf(service)),
  validateUpdate: (service, old) => serviceUpdateErrors(specOf(service), specOf({ ...old })),
};
