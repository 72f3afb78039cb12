import { someOf } from '#base/collections/some-of.js';
import { useWaypoint } from '#base/kube/labels.js';
import { authorizationPolicies, namespaces, pods, services } from '#base/kube/resource.js';
import { groupBy } from '#base/collections/group-by.js';
import { nearMiss } from '#base/errors/near-miss.js';
import type { AuthorizationPolicy, Pod, Service, ServicePort } from '#base/kube/types.js';
import { appProtocolOf } from '../../rules/app-protocol.js';
import { selectsLabels, targetRefsOf } from '../../rules/policy-targets.js';
import { AppProtocol } from '../../xds/gen/istio/workload_pb.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { editCommand, findingAbout } from './check-finding.js';
import { configuredPodsOf } from './configured-pods.js';
import type { ConfigurationCheck } from './configuration-check.js';

/** Services of the mesh that lead nowhere, and those of which the mesh cannot do what it is asked for. */
export const servicesCheck: ConfigurationCheck = {
  codes: ['MESH1160', 'MESH1161', 'MESH1162', 'MESH1163'],
  reads: [namespaces, pods, services, authorizationPolicies],
  run: (configuration) => {
    const targeting = policiesByService(configuration);
    return configuration
      .list<Service>(services)
      .filter((service) => configuration.isAskedAbout(service))
      .flatMap((service) => {
        const policies = targeting.get(`${service.metadata.namespace ?? ''}/${service.metadata.name}`) ?? [];
        return [
          ...selectionFindings(service, configuration),
          ...partlessFindings(service, policies, configuration),
          ...protocolFindings(service, policies, configuration),
        ];
      });
  },
};

function policiesByService(
  configuration: Configuration,
): ReadonlyMap<string, readonly AuthorizationPolicy[]> {
  const pairs = configuration.list<AuthorizationPolicy>(authorizationPolicies).flatMap((policy) =>
    targetRefsOf(policy)
      .filter(({ kind }) => kind === 'Service')
      .map(({ name }) => [`${policy.metadata.namespace ?? ''}/${name}`, policy] as const),
  );
  return new Map(
    [...groupBy(pairs, ([key]) => key)].map(([key, found]) => [key, found.map(([, policy]) => policy)]),
  );
}

/** A selector that selects nothing, and named target ports that none of the selected pods has. */
function selectionFindings(service: Service, configuration: Configuration): Finding[] {
  const { namespace = '' } = service.metadata;
  const { selector = {}, type, ports = [] } = service.spec;
  const known = configuredPodsOf(configuration);
  if (type === 'ExternalName' || Object.keys(selector).length === 0) return [];
  if (!configuration.isSeen(pods, namespace) || !known.isInMesh(namespace)) return [];
  const selected = known.withLabels(namespace, selector);
  if (selected.length === 0) {
    const finding = emptyServiceFinding(service, known.in(namespace));
    return finding === undefined ? [] : [findingAbout(service, configuration, finding)];
  }
  return ports
    .filter(
      ({ targetPort }) => typeof targetPort === 'string' && !selected.some((pod) => hasPort(pod, targetPort)),
    )
    .map(({ port, targetPort }) =>
      findingAbout(service, configuration, {
        code: 'MESH1161',
        severity: 'warning',
        message: `${subjectText(subjectOf(service))} port ${port} leads nowhere: none of its pods has a container port named "${targetPort}"`,
        evidence: [`pods: ${someOf(selected.map(({ metadata }) => metadata.name))}`],
        fix: editCommand(service),
      }),
    );
}

function hasPort({ spec }: Pod, wanted: string): boolean {
  return [...spec.containers, ...(spec.initContainers ?? [])].some(({ ports = [] }) =>
    ports.some(({ name }) => name === wanted),
  );
}

/** That no pod of its namespace is behind a Service, with the labels that come nearest; undefined when one is. */
export function emptyServiceFinding(service: Service, ofNamespace: readonly Pod[]): Finding | undefined {
  const { selector } = service.spec;
  if (selector === undefined || Object.keys(selector).length === 0) return undefined;
  if (ofNamespace.some(({ metadata }) => selectsLabels(selector, metadata.labels ?? {}))) return undefined;
  const subject = subjectOf({ kind: 'Service', metadata: service.metadata });
  const wanted = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return {
    code: 'MESH1160',
    severity: 'warning',
    message: `${subjectText(subject)} has no endpoints: no pod of ${subject.namespace} has ${wanted.join(',')}`,
    subject,
    evidence: nearestLabels(selector, ofNamespace),
    fix: `Compare the selector with: kubectl get pods -n ${subject.namespace} --show-labels`,
  };
}

/** For each label of the selector that no pod has: the value pods have instead, or the name that is meant. */
function nearestLabels(
  selector: Readonly<Record<string, string>>,
  ofNamespace: readonly Pod[],
): readonly string[] {
  const labels = ofNamespace.flatMap(({ metadata }) => Object.entries(metadata.labels ?? {}));
  return Object.entries(selector).flatMap(([key, value]) => {
    const values = [...new Set(labels.filter(([name]) => name === key).map(([, own]) => own))];
    if (values.includes(value)) return [];
    if (values.length > 0) {
      return [`pods have ${key}=${nearMiss(value, values) ?? values.slice(0, 5).join(`, ${key}=`)}`];
    }
    const meant = nearMiss(
      key,
      labels.map(([name]) => name),
    );
    return [`no pod has a label ${key}${meant === undefined ? '' : `; did you mean ${meant}?`}`];
  });
}

/** Services with a policy or a waypoint of their own that the mesh has no part in. */
function partlessFindings(
  service: Service,
  policies: readonly AuthorizationPolicy[],
  configuration: Configuration,
): Finding[] {
  const { type, clusterIP } = service.spec;
  const why =
    type === 'ExternalName'
      ? 'is an ExternalName, which is only a name in DNS'
      : clusterIP === 'None'
        ? 'is headless: callers call its pods by their addresses'
        : undefined;
  const waypoint = service.metadata.labels?.[useWaypoint] ?? 'none';
  const asked = [
    ...(waypoint === 'none' || waypoint === '' ? [] : [`label ${useWaypoint}=${waypoint}`]),
    ...policies.map(({ metadata }) => `AuthorizationPolicy ${metadata.name}`),
  ];
  if (why === undefined || asked.length === 0) return [];
  return [
    findingAbout(service, configuration, {
      code: 'MESH1162',
      severity: policies.length > 0 ? 'error' : 'warning',
      message: `${subjectText(subjectOf(service))} ${why}: calls to it go past its waypoint, without ${asked.join(', ')}`,
      concerns: policies.map(subjectOf),
      fix: 'Give it an address of its own (clusterIP), or write the policies with a selector for its pods.',
    }),
  ];
}

const opaque: ReadonlySet<AppProtocol> = new Set([AppProtocol.TCP, AppProtocol.TLS]);

/** HTTP in a policy for a Service whose every port is declared as something else. */
function protocolFindings(
  service: Service,
  policies: readonly AuthorizationPolicy[],
  configuration: Configuration,
): Finding[] {
  const ports = (service.spec.ports ?? []).filter(({ protocol = 'TCP' }) => protocol === 'TCP');
  if (ports.length === 0 || !ports.every((port) => opaque.has(appProtocolOf(port)))) return [];
  return policies.filter(asksForHttp).map((policy) =>
    findingAbout(policy, configuration, {
      code: 'MESH1163',
      severity: 'warning',
      message: `${subjectText(subjectOf(policy))} has rules about HTTP, and no port of ${subjectText(subjectOf(service))} is HTTP: ${ports.map(portText).join(', ')}`,
      concerns: [subjectOf(service)],
      fix: `Declare the protocol, such as appProtocol: http: ${editCommand(service)}`,
    }),
  );
}

function portText({ port, name, appProtocol }: ServicePort): string {
  const declared = appProtocol === undefined ? `name "${name ?? ''}"` : `appProtocol "${appProtocol}"`;
  return `${port} (${name === undefined && appProtocol === undefined ? 'by its number' : declared})`;
}

function asksForHttp({ spec }: AuthorizationPolicy): boolean {
  return (spec?.rules ?? []).some(({ to = [] }) =>
    to.some(({ operation = {} }) =>
      (['methods', 'notMethods', 'paths', 'notPaths', 'hosts', 'notHosts'] as const).some(
        (field) => (operation[field] ?? []).length > 0,
      ),
    ),
  );
}
