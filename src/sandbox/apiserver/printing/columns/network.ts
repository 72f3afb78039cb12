import { formatHostPort } from '#base/net/authority.js';
import { numberOf, objectOf, objectsOf, valueIn, stringOf, stringsOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Column } from '../../registry/resource.js';
import { ageColumn, nameColumn } from '../default-columns.js';
import { cellAt, column, labelsText, listed, orNone, selectorText } from './cells.js';

function externalIps(o: ApiObject): string {
  const own = stringsOf(valueIn(o, 'spec', 'externalIPs'));
  switch (valueIn(o, 'spec', 'type')) {
    case 'LoadBalancer': {
      const given = objectsOf(valueIn(o, 'status', 'loadBalancer', 'ingress')).map(
        (i) => stringOf(i.ip) || stringOf(i.hostname),
      );
      const all = [...given, ...own];
      return all.length > 0 ? all.join(',') : '<pending>';
    }
    case 'ExternalName':
      return stringOf(valueIn(o, 'spec', 'externalName'));
    default:
      return orNone(own.join(','));
  }
}

function servicePorts(o: ApiObject): string {
  const ports = objectsOf(valueIn(o, 'spec', 'ports')).map((p) => {
    const nodePort = numberOf(p.nodePort) ?? 0;
    return `${numberOf(p.port) ?? 0}${nodePort > 0 ? `:${nodePort}` : ''}/${stringOf(p.protocol)}`;
  });
  return orNone(ports.join(','));
}

function endpointsText(o: ApiObject): string {
  const all: string[] = [];
  for (const subset of objectsOf(o.subsets)) {
    const ports = objectsOf(subset.ports);
    for (const address of objectsOf(subset.addresses)) {
      const ip = stringOf(address.ip);
      if (ports.length === 0) all.push(ip);
      for (const port of ports) all.push(formatHostPort({ host: ip, port: numberOf(port.port) ?? 0 }));
    }
  }
  return listed(all, '<none>');
}

function slicePorts(o: ApiObject): string {
  const texts = objectsOf(o.ports).map((p) => {
    const number = numberOf(p.port);
    if (number !== undefined) return String(number);
    return stringOf(p.name) === '' ? '*' : stringOf(p.name);
  });
  const isAny = texts.length === 1 && texts[0] === '*';
  return isAny ? '<unset>' : listed(texts, '<unset>');
}

function ingressHosts(o: ApiObject): string {
  const hosts = objectsOf(valueIn(o, 'spec', 'rules'))
    .map((r) => stringOf(r.host))
    .filter((h) => h !== '');
  return hosts.length === 0 ? '*' : listed(hosts, '*');
}

function parametersText(o: ApiObject): string {
  const parameters = objectOf(valueIn(o, 'spec', 'parameters'));
  if (stringOf(parameters.kind) === '') return '<none>';
  const group = stringOf(parameters.apiGroup);
  return `${stringOf(parameters.kind)}${group === '' ? '' : `.${group}`}/${stringOf(parameters.name)}`;
}

/** Services, endpoints, ingresses, policies. */
export const networkColumns: Readonly<Record<string, readonly Column[]>> = {
  endpoints: [nameColumn, column('Endpoints', endpointsText), ageColumn],
  services: [
    nameColumn,
    column('Type', cellAt(['spec', 'type'])),
    column('Cluster-IP', cellAt(['spec', 'clusterIP'], '<none>')),
    column('External-IP', externalIps),
    column('Port(s)', servicePorts),
    ageColumn,
    column('Selector', (o) => orNone(labelsText(valueIn(o, 'spec', 'selector'))), 1),
  ],
  'endpointslices.discovery.k8s.io': [
    nameColumn,
    column('AddressType', cellAt(['addressType'])),
    column('Ports', slicePorts),
    column('Endpoints', (o) =>
      listed(
        objectsOf(o.endpoints).flatMap((e) => stringsOf(e.addresses)),
        '<unset>',
      ),
    ),
    ageColumn,
  ],
  'ingressclasses.networking.k8s.io': [
    nameColumn,
    column('Controller', cellAt(['spec', 'controller'])),
    column('Parameters', parametersText),
    ageColumn,
  ],
  'ingresses.networking.k8s.io': [
    nameColumn,
    column('Class', cellAt(['spec', 'ingressClassName'], '<none>')),
    column('Hosts', ingressHosts),
    column('Address', (o) =>
      objectsOf(valueIn(o, 'status', 'loadBalancer', 'ingress'))
        .map((i) => stringOf(i.ip) || stringOf(i.hostname))
        .join(','),
    ),
    column('Ports', (o) => (objectsOf(valueIn(o, 'spec', 'tls')).length > 0 ? '80, 443' : '80')),
    ageColumn,
  ],
  'networkpolicies.networking.k8s.io': [
    nameColumn,
    column('Pod-Selector', (o) => selectorText(valueIn(o, 'spec', 'podSelector'))),
    ageColumn,
  ],
};
