import { numberOf, objectOf, objectsOf, stringOf } from '../../base/json.js';
import type { ObjectReader } from '../registry/resource.js';

/** Where the server connects to reach a service, and the name its certificate must bear. */
export interface ServiceDestination {
  readonly host: string;
  readonly port: number;
  readonly serverName: string;
}

/**
 * Finds the way to a port of a service: its cluster IP, the name it stands for,
 * or a ready endpoint of a headless one. Throws an Error that says what is missing.
 */
export function serviceDestination(
  reader: ObjectReader,
  { namespace, name, port }: { readonly namespace: string; readonly name: string; readonly port: number },
): ServiceDestination {
  const serverName = `${name}.${namespace}.svc`;
  const service = reader.get('services', namespace, name);
  if (service === undefined) throw new Error(`service ${JSON.stringify(name)} not found`);
  const spec = objectOf(service.spec);
  if (spec.type === 'ExternalName') return { host: stringOf(spec.externalName), port, serverName };
  const isOffered = objectsOf(spec.ports).some((p) => p.port === port);
  if (!isOffered) throw new Error(`no service port ${port} found for service ${JSON.stringify(name)}`);
  const clusterIp = stringOf(spec.clusterIP);
  if (clusterIp !== '' && clusterIp !== 'None') return { host: clusterIp, port, serverName };
  return { ...readyEndpoint(reader, namespace, name, port), serverName };
}

function readyEndpoint(
  reader: ObjectReader,
  namespace: string,
  name: string,
  port: number,
): { host: string; port: number } {
  const slices = reader
    .list('endpointslices.discovery.k8s.io', namespace)
    .filter((s) => s.metadata.labels?.['kubernetes.io/service-name'] === name);
  for (const slice of slices) {
    const ready = objectsOf(slice.endpoints).find((e) => objectOf(e.conditions).ready !== false);
    const [host] = Array.isArray(ready?.addresses) ? ready.addresses : [];
    const target = numberOf(objectsOf(slice.ports)[0]?.port);
    if (typeof host === 'string') return { host, port: target ?? port };
  }
  throw new Error(`no endpoints available for service ${JSON.stringify(name)}`);
}
