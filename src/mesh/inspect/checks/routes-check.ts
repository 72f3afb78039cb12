import {
  gatewayClasses,
  gateways,
  grpcRoutes,
  httpRoutes,
  referenceGrants,
  services,
  tcpRoutes,
  tlsRoutes,
} from '#base/kube/resource.js';
import type {
  BackendReference,
  Gateway,
  GatewayListener,
  GatewayRoute,
  ParentReference,
  ReferenceGrant,
  Service,
} from '#base/kube/types.js';
import { nearMiss } from '#base/errors/near-miss.js';
import { groupBy } from '#base/collections/group-by.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { editCommand, findingAbout } from './check-finding.js';
import type { ConfigurationCheck } from './configuration-check.js';

const routeKinds = [httpRoutes, grpcRoutes, tlsRoutes, tcpRoutes];

/** Gateways and routes that refer to what is not there, or contradict each other. */
export const gatewayReferences: ConfigurationCheck = {
  codes: ['MESH1170', 'MESH1171', 'MESH1172', 'MESH1173', 'MESH1174', 'MESH1175'],
  reads: [gateways, gatewayClasses, services, referenceGrants, ...routeKinds],
  run: (configuration) => {
    const routes = routeKinds.flatMap((resource) =>
      configuration.list<GatewayRoute>(resource).filter((route) => configuration.isAskedAbout(route)),
    );
    return [
      ...configuration
        .list<Gateway>(gateways)
        .filter((gateway) => configuration.isAskedAbout(gateway))
        .flatMap((gateway) => [
          ...classFindings(gateway, configuration),
          ...listenerFindings(gateway, configuration),
        ]),
      ...routes.flatMap((route) => [
        ...parentFindings(route, configuration),
        ...backendFindings(route, configuration),
      ]),
      ...duplicateFindings(routes, configuration),
    ];
  },
};

function classFindings(gateway: Gateway, configuration: Configuration): Finding[] {
  const { gatewayClassName } = gateway.spec;
  if (!configuration.isSeen(gatewayClasses)) return [];
  if (configuration.find(gatewayClasses, { name: gatewayClassName }) !== undefined) return [];
  const meant = nearMiss(
    gatewayClassName,
    configuration.list(gatewayClasses).map(({ metadata }) => metadata.name),
  );
  return [
    findingAbout(gateway, configuration, {
      code: 'MESH1170',
      severity: 'error',
      message: `${subjectText(subjectOf(gateway))} is of class ${gatewayClassName}, which does not exist: nobody deploys it${meant === undefined ? '' : `; did you mean ${meant}?`}`,
      fix: editCommand(gateway),
    }),
  ];
}

function listenerFindings(gateway: Gateway, configuration: Configuration): Finding[] {
  const { listeners } = gateway.spec;
  const groups = groupBy(listeners, ({ port, hostname }) => `${port} ${hostname ?? ''}`);
  return [...groups.values()]
    .filter((group) => group.length > 1)
    .map((group) =>
      findingAbout(gateway, configuration, {
        code: 'MESH1173',
        severity: 'error',
        message: `${subjectText(subjectOf(gateway))} has conflicting listeners: ${group.map(listenerText).join(' and ')}`,
        fix: editCommand(gateway),
      }),
    );
}

function listenerText({ name, port, protocol, hostname }: GatewayListener): string {
  return `${name} (${protocol} ${port}${hostname === undefined ? '' : ` ${hostname}`})`;
}

function parentFindings(route: GatewayRoute, configuration: Configuration): Finding[] {
  return (route.spec?.parentRefs ?? []).flatMap((ref) => {
    const problem = parentProblem(ref, route.metadata.namespace ?? '', configuration);
    if (problem === undefined) return [];
    return [
      findingAbout(route, configuration, {
        code: 'MESH1171',
        severity: 'error',
        message: `${subjectText(subjectOf(route))} is attached to nothing: ${problem}`,
        fix: editCommand(route),
      }),
    ];
  });
}

function parentProblem(ref: ParentReference, own: string, configuration: Configuration): string | undefined {
  const kind = ref.kind ?? 'Gateway';
  const namespace = ref.namespace ?? own;
  const resource = kind === 'Gateway' ? gateways : kind === 'Service' ? services : undefined;
  if (resource === undefined || !configuration.isSeen(resource, namespace)) return undefined;
  const parent = configuration.find(resource, { namespace, name: ref.name });
  if (parent === undefined) return `${kind} ${namespace}/${ref.name} does not exist`;
  if (kind !== 'Gateway' || ref.sectionName === undefined) return undefined;
  const { listeners } = (parent as Gateway).spec;
  return listeners.some(({ name }) => name === ref.sectionName)
    ? undefined
    : `Gateway ${namespace}/${ref.name} has no listener ${ref.sectionName} (it has ${listeners.map(({ name }) => name).join(', ')})`;
}

function backendFindings(route: GatewayRoute, configuration: Configuration): Finding[] {
  const refs = (route.spec?.rules ?? []).flatMap(({ backendRefs = [] }) => backendRefs);
  return refs.flatMap((ref) => {
    if ((ref.kind ?? 'Service') !== 'Service' || (ref.group ?? '') !== '') return [];
    return [...missingBackend(route, ref, configuration), ...ungranted(route, ref, configuration)];
  });
}

function missingBackend(route: GatewayRoute, ref: BackendReference, configuration: Configuration): Finding[] {
  const namespace = ref.namespace ?? route.metadata.namespace ?? '';
  if (!configuration.isSeen(services, namespace)) return [];
  const service = configuration.find<Service>(services, { namespace, name: ref.name });
  const ports = service?.spec.ports ?? [];
  const problem =
    service === undefined
      ? `Service ${namespace}/${ref.name}, which does not exist`
      : ref.port === undefined || ports.some(({ port }) => port === ref.port)
        ? undefined
        : `Service ${namespace}/${ref.name} port ${ref.port}, which it does not have (it has ${ports.map(({ port }) => port).join(', ')})`;
  if (problem === undefined) return [];
  return [
    findingAbout(route, configuration, {
      code: 'MESH1172',
      severity: 'error',
      message: `${subjectText(subjectOf(route))} sends requests to ${problem}: they are answered with an error`,
      fix: editCommand(route),
    }),
  ];
}

/** A reference into another namespace counts only when that namespace grants it (Gateway API, ReferenceGrant). */
function ungranted(route: GatewayRoute, ref: BackendReference, configuration: Configuration): Finding[] {
  const own = route.metadata.namespace ?? '';
  const namespace = ref.namespace ?? own;
  if (namespace === own || !configuration.isSeen(referenceGrants, namespace)) return [];
  const group = route.apiVersion.split('/')[0];
  const isGranted = configuration
    .inNamespace<ReferenceGrant>(referenceGrants, namespace)
    .some(
      ({ spec }) =>
        spec?.from?.some(
          (from) => from.group === group && from.kind === route.kind && from.namespace === own,
        ) === true &&
        spec.to?.some(
          (to) => to.group === '' && to.kind === 'Service' && (to.name === undefined || to.name === ref.name),
        ) === true,
    );
  if (isGranted) return [];
  return [
    findingAbout(route, configuration, {
      code: 'MESH1174',
      severity: 'error',
      message: `${subjectText(subjectOf(route))} may not send requests to Service ${namespace}/${ref.name}: no ReferenceGrant in ${namespace} lets it`,
      fix: `Create a ReferenceGrant in ${namespace} from ${route.kind} of namespace ${own} to Service ${ref.name}.`,
    }),
  ];
}

/** Routes of one parent that match the same requests: the oldest gets them all. */
function duplicateFindings(routes: readonly GatewayRoute[], configuration: Configuration): Finding[] {
  const matches = routes.flatMap((route) => {
    const own = route.metadata.namespace ?? '';
    const { parentRefs = [], hostnames = [''], rules = [] } = route.spec ?? {};
    return parentRefs.flatMap((parent) =>
      hostnames.flatMap((hostname) =>
        rules.flatMap(({ matches: written }) =>
          (written === undefined || written.length === 0 ? [{}] : written).map((match) => ({
            route,
            hostname,
            key: JSON.stringify([
              route.kind,
              parent.kind ?? 'Gateway',
              parent.namespace ?? own,
              parent.name,
              parent.sectionName ?? '',
              parent.port ?? '',
              hostname,
              match,
            ]),
          })),
        ),
      ),
    );
  });
  return [...groupBy(matches, ({ key }) => key).values()].flatMap((group) => {
    const distinct = [...new Map(group.map((one) => [one.route, one])).values()].toSorted((a, b) =>
      rankOf(a.route) < rankOf(b.route) ? -1 : 1,
    );
    const [winner, ...others] = distinct;
    if (winner === undefined) return [];
    return others.map(({ route, hostname }) =>
      findingAbout(route, configuration, {
        code: 'MESH1175',
        severity: 'warning',
        message: `${subjectText(subjectOf(route))} has a match that ${subjectText(subjectOf(winner.route))} has as well${hostname === '' ? '' : ` for ${hostname}`}: the older one gets the requests`,
        concerns: [subjectOf(winner.route)],
        fix: editCommand(route),
      }),
    );
  });
}

function rankOf({ metadata }: GatewayRoute): string {
  return `${metadata.creationTimestamp ?? '~'}/${metadata.namespace ?? ''}/${metadata.name}`;
}
