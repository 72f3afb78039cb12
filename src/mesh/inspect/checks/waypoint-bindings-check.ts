import { pluralFor } from '#base/collections/counted.js';
import { someOf } from '#base/collections/some-of.js';
import {
  gatewayClasses,
  gateways,
  namespaces,
  pods,
  serviceAccounts,
  services,
} from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { groupBy } from '#base/collections/group-by.js';
import { namesWaypoint, type BindingProblem, type WaypointBinding } from '../../rules/waypoint-binding.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, type FindingSubject, subjectOf, subjectText } from '../findings/finding.js';
import { ConfiguredBindings } from './bindings-in-configuration.js';
import type { ConfigurationCheck } from './configuration-check.js';

/** What a label that names a waypoint leads to, for one object that has it or inherits it. */
interface Misled {
  readonly object: KubeObject;
  /** Whose label it is: the object itself, or its Namespace. */
  readonly labeled: FindingSubject;
  readonly waypoint: string;
  readonly problem: BindingProblem;
  readonly isRefused: boolean;
  readonly traffic: 'service' | 'workload';
}

/** Services and pods whose waypoint is missing, not ready, does not admit them, or is not for their traffic. */
export const waypointBindings: ConfigurationCheck = {
  codes: ['MESH1110', 'MESH1111', 'MESH1112', 'MESH1113'],
  reads: [namespaces, services, serviceAccounts, pods, gateways, gatewayClasses],
  run: (configuration) => {
    const bindings = new ConfiguredBindings(configuration);
    const misled = [
      ...misledOf(configuration, { bindings, resource: services, traffic: 'service' }),
      ...misledOf(configuration, { bindings, resource: pods, traffic: 'workload' }),
    ];
    const groups = groupBy(
      misled,
      (m) => `${subjectText(m.labeled)} ${m.waypoint} ${m.problem} ${m.traffic}`,
    );
    return [...groups.values()].flatMap((group) => findingOf(configuration, bindings, group));
  },
};

function misledOf(
  configuration: Configuration,
  of: {
    readonly bindings: ConfiguredBindings;
    readonly resource: typeof services;
    readonly traffic: 'service' | 'workload';
  },
): Misled[] {
  const { bindings, resource, traffic } = of;
  return configuration
    .list(resource)
    .filter((object) => configuration.isAskedAbout(object))
    .flatMap((object) => {
      const binding: WaypointBinding = bindings.bind(object, traffic);
      if (binding.kind === 'none' || binding.problem === undefined) return [];
      const namespace = object.metadata.namespace ?? '';
      const labeled = namesWaypoint(object.metadata.labels ?? {})
        ? subjectOf(object)
        : labeledAbove(bindings.accountOf(object), namespace);
      const { waypoint, problem } = binding;
      return [{ object, labeled, waypoint, problem, isRefused: binding.kind === 'bound', traffic }];
    });
}

/** Whose label an object without one of its own follows. */
function labeledAbove(account: KubeObject | undefined, namespace: string): FindingSubject {
  return account !== undefined && namesWaypoint(account.metadata.labels ?? {})
    ? subjectOf(account)
    : { kind: 'Namespace', name: namespace };
}

function findingOf(
  configuration: Configuration,
  bindings: ConfiguredBindings,
  group: readonly Misled[],
): Finding[] {
  const [first] = group;
  if (first === undefined) return [];
  const { labeled, waypoint, problem, isRefused, traffic } = first;
  const [namespace = '', name = ''] = waypoint.split('/');
  // What may not be seen is not missing.
  if (!configuration.isSeen(gateways, namespace)) return [];
  const concerns = group.map(({ object }) => subjectOf(object));
  const place = configuration.placeOf(first.object);
  const common = { concerns, ...(place === undefined ? {} : { place }) };
  const who = subjectText(labeled);
  const whose = namesText(traffic === 'service' ? 'Service' : 'Pod', group);
  const past = `calls to ${whose} go past it, without its policies`;
  const gateway = { kind: 'Gateway', namespace, name };
  switch (problem) {
    case 'WaypointIsNotReady': {
      const isThere = bindings.waypoints.has(waypoint);
      const effect = isRefused ? `calls to ${whose} are refused` : past;
      return isThere
        ? [
            {
              ...common,
              code: 'MESH1111',
              severity: 'error',
              message: `waypoint ${waypoint}, which ${who} uses, is not ready: ${effect}`,
              subject: gateway,
              // Where proxies and pods were looked at too, they tell why.
              dependsOn: [gateway],
              fix: `meshctl waypoint status ${name} -n ${namespace}`,
            },
          ]
        : [
            {
              ...common,
              code: 'MESH1110',
              severity: 'error',
              message: `${who} uses waypoint ${waypoint}, which does not exist: ${effect}`,
              subject: labeled,
              fix: `meshctl waypoint apply ${name} -n ${namespace}, or ${unlabel(labeled)}`,
            },
          ];
    }
    case 'AttachmentDenied':
      return [
        {
          ...common,
          code: 'MESH1112',
          severity: 'error',
          message: `waypoint ${waypoint} does not admit namespace ${namespaceOf(first.object)}, though ${who} names it: ${past}`,
          subject: gateway,
          evidence: [`allowedRoutes of Gateway ${waypoint}: ${allowedText(bindings, waypoint)}`],
          fix: `Let its listener admit the namespace: kubectl patch gateway ${name} -n ${namespace} --type=json -p '[{"op":"add","path":"/spec/listeners/0/allowedRoutes","value":{"namespaces":{"from":"All"}}}]', or ${unlabel(labeled)}`,
        },
      ];
    case 'UnsupportedTrafficType':
      return [
        {
          ...common,
          code: 'MESH1113',
          severity: 'error',
          message: `waypoint ${waypoint} is for ${bindings.waypoints.get(waypoint)?.traffic} traffic, and ${who} uses it for ${traffic}s: ${past}`,
          subject: gateway,
          fix: `meshctl waypoint apply ${name} -n ${namespace} --for all --overwrite`,
        },
      ];
  }
}

function namespaceOf({ metadata }: KubeObject): string {
  return metadata.namespace ?? '';
}

function allowedText(bindings: ConfiguredBindings, waypoint: string): string {
  const allowed = bindings.waypoints.get(waypoint)?.allowedRoutes;
  if (allowed?.from === 'Selector') return `namespaces with ${JSON.stringify(allowed.selector)}`;
  return allowed?.from === 'All' ? 'all namespaces' : 'its own namespace only';
}

function unlabel({ kind, namespace, name }: FindingSubject): string {
  const at = namespace === undefined ? '' : ` -n ${namespace}`;
  return `kubectl label ${kind.toLowerCase()} ${name}${at} istio.io/use-waypoint- istio.io/use-waypoint-namespace-`;
}

/** `Service shop/web`, `Pods shop/a, shop/b`. */
function namesText(kind: string, group: readonly Misled[]): string {
  const names = group.map(({ object }) => `${namespaceOf(object)}/${object.metadata.name}`);
  return `${pluralFor(group.length, kind)} ${someOf(names)}`;
}
