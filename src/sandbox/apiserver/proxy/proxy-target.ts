import { isIp } from '#base/net/address.js';
import { isInRange } from '#base/net/ranges.js';
import { ApiError, apiError } from '../api-error.js';
import type { ResourcePath } from '../http/request-info.js';
import { numberOf, objectOf, objectsOf, valueIn, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { ObjectReader } from '../registry/resource.js';

/** Where a proxied request goes. */
export interface ProxyTarget {
  readonly scheme: 'http' | 'https';
  readonly host: string;
  readonly port: number;
  /** The kubelet: authenticate as the API server. */
  readonly isNode: boolean;
}

interface NameParts {
  readonly scheme: string;
  readonly name: string;
  readonly port: string;
}

const kubeletPort = 10_250;

/** Splits NAME, NAME:PORT and SCHEME:NAME:PORT. */
function partsOf(text: string): NameParts | undefined {
  const parts = text.split(':');
  const [first = '', second = '', third = ''] = parts;
  if (parts.length === 1) return { scheme: '', name: first, port: '' };
  if (parts.length === 2) return { scheme: '', name: first, port: second };
  const isScheme = first === '' || first === 'http' || first === 'https';
  return parts.length === 3 && isScheme ? { scheme: first, name: second, port: third } : undefined;
}

/** Addresses that lead back to the server's own machine, or to its cloud's metadata, are not for clients. */
function assertProxyable(host: string): void {
  const isForbidden = isInRange(
    host,
    'loopback',
    'linkLocal',
    'ownNetwork',
    'unspecified',
    'multicast',
    'reserved',
    'mapped',
  );
  if (isForbidden || !isIp(host)) throw apiError.badRequest('address not allowed');
}

function schemeOf(scheme: string): ProxyTarget['scheme'] {
  return scheme === 'https' ? 'https' : 'http';
}

function podTarget(reader: ObjectReader, path: ResourcePath): ProxyTarget {
  const parts = partsOf(path.name ?? '');
  if (parts === undefined || parts.name === '')
    throw apiError.badRequest(`invalid pod request "${path.name}"`);
  const pod = reader.get('pods', path.namespace, parts.name);
  if (pod === undefined) throw apiError.notFound({ group: '', plural: 'pods' }, parts.name);
  const containers = objectsOf(valueIn(pod, 'spec', 'containers'));
  const ports = containers.flatMap((c) => objectsOf(c.ports));
  // Without a port it is the first that the pod names.
  const wanted =
    parts.port === ''
      ? (ports.map((p) => numberOf(p.containerPort))[0] ?? (parts.scheme === 'https' ? 443 : 80))
      : /^\d+$/.test(parts.port)
        ? Number(parts.port)
        : numberOf(ports.find((p) => p.name === parts.port)?.containerPort);
  const host = stringOf(valueIn(pod, 'status', 'podIP'));
  assertProxyable(host);
  if (wanted === undefined || wanted < 1 || wanted > 65_535) {
    throw apiError.badRequest(`invalid pod port ${JSON.stringify(parts.port)}`);
  }
  return { scheme: schemeOf(parts.scheme), host, port: wanted, isNode: false };
}

interface Endpoint {
  readonly host: string;
  readonly port: number;
}

/** The ready endpoints of a port; undefined when nobody keeps endpoints of the service. */
function endpointsOf(reader: ObjectReader, service: ApiObject, portName: string): Endpoint[] | undefined {
  const { namespace, name } = service.metadata;
  const endpoints = reader.get('endpoints', namespace, name);
  if (endpoints === undefined) return undefined;
  return objectsOf(endpoints.subsets).flatMap((subset) => {
    const port = numberOf(objectsOf(subset.ports).find((p) => stringOf(p.name) === portName)?.port);
    if (port === undefined) return [];
    return objectsOf(subset.addresses).map(({ ip }) => ({ host: stringOf(ip), port }));
  });
}

function serviceTarget(reader: ObjectReader, path: ResourcePath): ProxyTarget {
  const parts = partsOf(path.name ?? '');
  if (parts === undefined || parts.name === '')
    throw apiError.badRequest(`invalid service request "${path.name}"`);
  const service = reader.get('services', path.namespace, parts.name);
  if (service === undefined) throw apiError.notFound({ group: '', plural: 'services' }, parts.name);
  const ports = objectsOf(valueIn(service, 'spec', 'ports'));
  const chosen =
    parts.port === '' && ports.length === 1
      ? ports[0]
      : ports.find((p) => stringOf(p.name) === parts.port || String(numberOf(p.port)) === parts.port);
  if (chosen === undefined) {
    throw apiError.unavailable(
      `no service port ${JSON.stringify(parts.port)} found for service ${JSON.stringify(parts.name)}`,
    );
  }
  const endpoints = endpointsOf(reader, service, stringOf(chosen.name));
  if (endpoints === undefined) throw apiError.notFound({ group: '', plural: 'services' }, parts.name);
  const endpoint = endpoints[Math.floor(Math.random() * endpoints.length)];
  if (endpoint === undefined) {
    throw apiError.unavailable(`no endpoints available for service ${JSON.stringify(parts.name)}`);
  }
  assertProxyable(endpoint.host);
  return { scheme: schemeOf(parts.scheme), ...endpoint, isNode: false };
}

function nodeTarget(reader: ObjectReader, path: ResourcePath): ProxyTarget {
  const parts = partsOf(path.name ?? '');
  if (parts === undefined || parts.name === '')
    throw apiError.badRequest(`invalid node request "${path.name}"`);
  const node = reader.get('nodes', undefined, parts.name);
  if (node === undefined) throw apiError.notFound({ group: '', plural: 'nodes' }, parts.name);
  const addresses = objectsOf(valueIn(node, 'status', 'addresses'));
  const address =
    addresses.find((a) => a.type === 'InternalIP') ?? addresses.find((a) => a.type === 'ExternalIP');
  if (address === undefined) {
    throw new ApiError(
      503,
      'ServiceUnavailable',
      `no preferred addresses found; known addresses: [${addresses.map((a) => stringOf(a.address)).join(' ')}]`,
    );
  }
  const host = stringOf(address.address);
  assertProxyable(host);
  const own =
    numberOf(objectOf(valueIn(node, 'status', 'daemonEndpoints', 'kubeletEndpoint')).Port) ?? kubeletPort;
  const port = parts.port === '' ? own : Number(parts.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw apiError.badRequest(`invalid node port ${JSON.stringify(parts.port)}`);
  }
  const isKubelet = port === own;
  return { scheme: isKubelet ? 'https' : schemeOf(parts.scheme), host, port, isNode: isKubelet };
}

/** Finds what a proxy request leads to. Throws 400, 404 and 503. */
export function proxyTarget(reader: ObjectReader, path: ResourcePath): ProxyTarget {
  switch (path.plural) {
    case 'pods':
      return podTarget(reader, path);
    case 'services':
      return serviceTarget(reader, path);
    default:
      return nodeTarget(reader, path);
  }
}
