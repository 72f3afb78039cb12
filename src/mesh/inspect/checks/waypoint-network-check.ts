import { someOf } from '#base/collections/some-of.js';
import { groupBy } from '#base/collections/group-by.js';
import { gatewayName, waypointClass } from '#base/kube/labels.js';
import { networkPolicies } from '#base/kube/network-policy.js';
import { gatewayClasses, gateways, namespaces, pods, services } from '#base/kube/resource.js';
import type { Gateway, Pod, Service } from '#base/kube/types.js';
import { hbonePort } from '../../hbone/parameters.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { ConfiguredBindings } from './bindings-in-configuration.js';
import { findingAbout, editCommand } from './check-finding.js';
import type { ConfigurationCheck } from './configuration-check.js';
import { configuredPodsOf } from './configured-pods.js';
import { PolicyIsolation } from './policy-isolation.js';

/** Where proxies fetch their configuration and certificates. */
const controllerPort = 15012;

/**
 * NetworkPolicies that keep the mesh from its own parts: callers from a waypoint, a waypoint from the pods behind its
 * services, proxies from the controller. What callers may call directly says nothing about these.
 */
export const meshPartsReachable: ConfigurationCheck = {
  codes: ['MESH1143', 'MESH1144', 'MESH1145', 'MESH1146'],
  reads: [networkPolicies, namespaces, pods, services, gateways, gatewayClasses],
  run: (configuration) => {
    const isolation = new PolicyIsolation(configuration);
    return [
      ...waypointFindings(configuration, isolation),
      ...controllerFindings(configuration, isolation),
      ...cutOffFindings(configuration, isolation),
    ];
  },
};

function waypointFindings(configuration: Configuration, isolation: PolicyIsolation): Finding[] {
  const bindings = new ConfiguredBindings(configuration);
  const known = configuredPodsOf(configuration);
  const bound = configuration
    .list<Service>(services)
    .filter((service) => configuration.isAskedAbout(service))
    .flatMap((service) => {
      const binding = bindings.bind(service, 'service');
      return binding.kind === 'bound' ? [{ service, waypoint: binding.waypoint }] : [];
    });
  return [...groupBy(bound, ({ waypoint }) => waypoint)].flatMap(([key, uses]) => {
    const [namespace = '', name = ''] = key.split('/');
    const [proxy] = known.withLabels(namespace, { [gatewayName]: name });
    if (proxy === undefined) return [];
    return [
      ...closedFindings(proxy, { key, configuration, isolation }),
      ...groupedByPolicy(
        uses.map(({ service }) => service),
        { key, proxy, configuration, isolation },
      ),
    ];
  });
}

/** The waypoint's own pods take calls on 15008 from nobody. */
function closedFindings(
  proxy: Pod,
  of: { readonly key: string; readonly configuration: Configuration; readonly isolation: PolicyIsolation },
): Finding[] {
  const { key, configuration, isolation } = of;
  const [policy] = isolation.closing(proxy, hbonePort);
  if (policy === undefined) return [];
  return [
    findingAbout(policy, configuration, {
      code: 'MESH1143',
      severity: 'error',
      message: `${subjectText(subjectOf(policy))} lets nobody call waypoint ${key} on port ${hbonePort}: calls to the services behind it time out`,
      concerns: [
        { kind: 'Gateway', namespace: proxy.metadata.namespace ?? '', name: key.split('/')[1] ?? '' },
      ],
      fix: `Admit TCP port ${hbonePort} to pods with ${gatewayName}=${key.split('/')[1]}: ${editCommand(policy)}`,
    }),
  ];
}

/** Pods of services that their own waypoint may not call: the calls come from it, not from the caller. */
function groupedByPolicy(
  all: readonly Service[],
  of: {
    readonly key: string;
    readonly proxy: Pod;
    readonly configuration: Configuration;
    readonly isolation: PolicyIsolation;
  },
): Finding[] {
  const { key, proxy, configuration, isolation } = of;
  const known = configuredPodsOf(configuration);
  const refused = all.flatMap((service) => {
    const { namespace = '' } = service.metadata;
    const { selector = {} } = service.spec;
    if (Object.keys(selector).length === 0) return [];
    const pod = known
      .withLabels(namespace, selector)
      .find((one) => known.isEnrolled(one) && !isolation.admits(one, proxy, hbonePort));
    const policy = pod === undefined ? undefined : isolation.ingressPolicies(pod)[0];
    return policy === undefined ? [] : [{ service, policy }];
  });
  return [...groupBy(refused, ({ policy }) => policy)].map(([policy, group]) =>
    findingAbout(policy, configuration, {
      code: 'MESH1144',
      severity: 'error',
      message: `${subjectText(subjectOf(policy))} does not admit waypoint ${key}, from which calls to Service ${someOf(group.map(({ service }) => `${service.metadata.namespace}/${service.metadata.name}`))} arrive: they fail`,
      concerns: group.map(({ service }) => subjectOf(service)),
      // Whatever else the policy keeps out, it is the policy that has to be mended.
      dependsOn: [subjectOf(policy)],
      fix: `Admit port ${hbonePort} from podSelector ${gatewayName}=${key.split('/')[1]} (namespace ${key.split('/')[0]}): ${editCommand(policy)}`,
    }),
  );
}

function controllerFindings(configuration: Configuration, isolation: PolicyIsolation): Finding[] {
  const { meshNamespace } = configuration;
  const [controller] = configuredPodsOf(configuration).withLabels(meshNamespace, { app: 'istiod' });
  const [policy] = controller === undefined ? [] : isolation.closing(controller, controllerPort);
  if (policy === undefined) return [];
  return [
    findingAbout(policy, configuration, {
      code: 'MESH1145',
      severity: 'error',
      message: `${subjectText(subjectOf(policy))} lets nobody call the controller on port ${controllerPort}: proxies get no configuration and no certificates`,
      concerns: [{ kind: 'Deployment', namespace: meshNamespace, name: 'istiod' }],
      fix: `Admit TCP port ${controllerPort} to pods with app=istiod: ${editCommand(policy)}`,
    }),
  ];
}

/** Waypoints whose own namespace does not let them out to the controller: they never become ready. */
function cutOffFindings(configuration: Configuration, isolation: PolicyIsolation): Finding[] {
  const known = configuredPodsOf(configuration);
  const [controller] = known.withLabels(configuration.meshNamespace, { app: 'istiod' });
  if (controller === undefined) return [];
  return configuration
    .list<Gateway>(gateways)
    .filter(
      (gateway) => configuration.isAskedAbout(gateway) && gateway.spec.gatewayClassName === waypointClass,
    )
    .flatMap((gateway) => {
      const { namespace = '', name } = gateway.metadata;
      const [proxy] = known.withLabels(namespace, { [gatewayName]: name });
      if (proxy === undefined || isolation.letsOut(proxy, controller, controllerPort)) return [];
      const [policy] = isolation.egressPolicies(proxy);
      if (policy === undefined) return [];
      const waypoint = subjectOf(gateway);
      return [
        findingAbout(policy, configuration, {
          code: 'MESH1146',
          severity: 'error',
          message: `${subjectText(subjectOf(policy))} does not let waypoint ${namespace}/${name} call the controller on port ${controllerPort}: it gets no configuration and no certificates`,
          concerns: [waypoint],
          fix: `Let pods with ${gatewayName}=${name} out to namespace ${configuration.meshNamespace} on TCP port ${controllerPort}, and to DNS: ${editCommand(policy)}`,
        }),
      ];
    });
}
