import {
  revision,
  useWaypoint,
  useWaypointNamespace,
  waypointClass,
  waypointFor,
} from '#base/kube/labels.js';
import {
  gatewayClasses,
  gateways,
  namespaces,
  pods,
  serviceAccounts,
  services,
} from '#base/kube/resource.js';
import type { Gateway, KubeObject, Namespace } from '#base/kube/types.js';
import { nearMiss } from '#base/errors/near-miss.js';
import { groupBy } from '#base/collections/group-by.js';
import { hbonePort } from '../../hbone/parameters.js';
import { waypointUserKinds, waypointUsers, waypointUserText } from '../../rules/waypoint-users.js';
import { waypointUserResources } from '../waypoint-users.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { editCommand, findingAbout } from './check-finding.js';
import { configuredPodsOf } from './configured-pods.js';
import type { ConfigurationCheck } from './configuration-check.js';

/** Waypoints that nobody can use or nobody uses, and labels about waypoints that stand alone. */
export const waypointUse: ConfigurationCheck = {
  codes: ['MESH1107', 'MESH1108', 'MESH1109', 'MESH1114', 'MESH1115', 'MESH1116'],
  reads: [gateways, gatewayClasses, namespaces, services, serviceAccounts, pods],
  run: (configuration) => {
    const used = usersByWaypoint(configuration);
    return [
      ...configuration
        .list<Gateway>(gateways)
        .filter(
          (gateway) => configuration.isAskedAbout(gateway) && gateway.spec.gatewayClassName === waypointClass,
        )
        .flatMap((gateway) => waypointFindings(gateway, used, configuration)),
      ...[namespaces, services, serviceAccounts, pods].flatMap((resource) =>
        configuration
          .list(resource)
          .filter((object) => configuration.isAskedAbout(object))
          .flatMap((object) => loneLabelFindings(object, configuration)),
      ),
      ...[namespaces, gateways].flatMap((resource) =>
        configuration
          .list(resource)
          .filter((object) => configuration.isAskedAbout(object))
          .flatMap((object) => revisionFindings(object, configuration)),
      ),
    ];
  },
};

function usersByWaypoint(configuration: Configuration): ReadonlyMap<string, readonly string[]> {
  const users = waypointUserKinds.flatMap((kind) =>
    waypointUsers(kind, configuration.list(waypointUserResources[kind])),
  );
  return new Map(
    [...groupBy(users, ({ waypoint }) => waypoint)].map(([key, group]) => [key, group.map(waypointUserText)]),
  );
}

function waypointFindings(
  gateway: Gateway,
  used: ReadonlyMap<string, readonly string[]>,
  configuration: Configuration,
): Finding[] {
  const { namespace = '', name, labels = {} } = gateway.metadata;
  const users = used.get(`${namespace}/${name}`) ?? [];
  const subject = subjectText(subjectOf(gateway));
  const findings: Finding[] = [];
  const traffic = labels[waypointFor];
  const traffics = ['service', 'workload', 'all', 'none'];
  if (traffic !== undefined && !traffics.includes(traffic)) {
    const meant = nearMiss(traffic, traffics);
    findings.push(
      findingAbout(gateway, configuration, {
        code: 'MESH1109',
        severity: 'warning',
        message: `${subject}: label ${waypointFor}=${traffic} counts as "service"; it takes ${traffics.join(', ')}`,
        fix: `kubectl label gateway ${name} -n ${namespace} --overwrite ${waypointFor}=${meant ?? 'service'}`,
      }),
    );
  }
  const isReachable = gateway.spec.listeners.some(
    ({ port, protocol }) => port === hbonePort && protocol === 'HBONE',
  );
  if (!isReachable) {
    findings.push(
      findingAbout(gateway, configuration, {
        code: 'MESH1115',
        severity: 'error',
        message: `${subject} is a waypoint without a listener for the mesh: it needs protocol HBONE on port ${hbonePort}`,
        concerns: users.length === 0 ? [] : [{ kind: 'Namespace', name: namespace }],
        fix: `meshctl waypoint apply ${name} -n ${namespace}`,
      }),
    );
  }
  // Others of this namespace may name it: only who sees the whole cluster knows that nobody does.
  const isAllSeen = [namespaces, services, pods].every((resource) => configuration.isSeen(resource));
  if (users.length === 0 && isAllSeen && traffic !== 'none') {
    findings.push(
      findingAbout(gateway, configuration, {
        code: 'MESH1114',
        severity: 'info',
        message: `waypoint ${namespace}/${name} is used by nobody`,
        fix: `kubectl label namespace ${namespace} ${useWaypoint}=${name}, or meshctl waypoint delete ${name} -n ${namespace}`,
      }),
    );
  }
  const known = configuredPodsOf(configuration);
  const labeled = configuration.find<Namespace>(namespaces, { name: namespace });
  if (
    users.length > 0 &&
    labeled?.metadata.labels?.[useWaypoint] === name &&
    configuration.isSeen(pods, namespace) &&
    known.in(namespace).length > 0 &&
    !known.isInMesh(namespace)
  ) {
    findings.push(
      findingAbout(labeled, configuration, {
        code: 'MESH1116',
        severity: 'warning',
        message: `Namespace ${namespace} uses waypoint ${name} and none of its pods is in the mesh: the waypoint calls them in plaintext, and others pass it by`,
        fix: `meshctl enroll ${namespace} --wait`,
      }),
    );
  }
  return findings;
}

/** The namespace of a waypoint without its name. */
function loneLabelFindings(object: KubeObject, configuration: Configuration): Finding[] {
  const { labels = {} } = object.metadata;
  if (labels[useWaypointNamespace] === undefined || labels[useWaypoint] !== undefined) return [];
  return [
    findingAbout(object, configuration, {
      code: 'MESH1108',
      severity: 'warning',
      message: `${subjectText(subjectOf(object))} has the label ${useWaypointNamespace} and no ${useWaypoint}: no waypoint is named`,
      fix: editCommand(object),
    }),
  ];
}

/** A revision that no controller of the mesh has: Gateways of it are deployed by nobody. */
function revisionFindings(object: KubeObject, configuration: Configuration): Finding[] {
  const wanted = object.metadata.labels?.[revision];
  const controllers = configuredPodsOf(configuration).withLabels(configuration.meshNamespace, {
    app: 'istiod',
  });
  if (wanted === undefined || wanted === '' || wanted === 'default' || controllers.length === 0) return [];
  if (controllers.some(({ metadata }) => metadata.labels?.[revision] === wanted)) return [];
  const at = object.metadata.namespace === undefined ? '' : ` -n ${object.metadata.namespace}`;
  return [
    findingAbout(object, configuration, {
      code: 'MESH1107',
      severity: 'warning',
      message: `${subjectText(subjectOf(object))} has the label ${revision}=${wanted}, and no controller of that revision runs: its waypoints are deployed by nobody`,
      fix: `kubectl label ${object.kind.toLowerCase()} ${object.metadata.name}${at} ${revision}-`,
    }),
  ];
}
