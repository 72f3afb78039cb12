import type { ServicePort } from '#base/kube/types.js';
import { AppProtocol } from '../xds/gen/istio/workload_pb.js';

/** Names of protocols, as a port's `appProtocol` and the prefix of its name give them (istio.io, protocol selection). */
const byName: ReadonlyMap<string, AppProtocol> = new Map([
  ['http', AppProtocol.HTTP11],
  ['http2', AppProtocol.HTTP2],
  ['grpc', AppProtocol.GRPC],
  ['grpc-web', AppProtocol.HTTP11],
  ['tls', AppProtocol.TLS],
  ['https', AppProtocol.TLS],
  ['tcp', AppProtocol.TCP],
  // The server speaks first, or nothing HTTP-like is ever said.
  ['mongo', AppProtocol.TCP],
  ['mysql', AppProtocol.TCP],
  ['redis', AppProtocol.TCP],
]);

/** Values of `appProtocol` that Kubernetes reserves (KEP-3726); not prefixes of names. */
const byKubernetesName: ReadonlyMap<string, AppProtocol> = new Map([
  ['kubernetes.io/h2c', AppProtocol.HTTP2],
  ['kubernetes.io/ws', AppProtocol.HTTP11],
  ['kubernetes.io/wss', AppProtocol.TLS],
]);

/** SMTP, DNS, MySQL, MongoDB: TCP where nothing usable is declared, because the server may speak first. */
const serverFirstPorts: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

/** Whether connections to an undeclared port are TCP without a look at their first bytes. */
export function isServerFirstPort(port: number): boolean {
  return serverFirstPorts.has(port);
}

/**
 * Application protocol of a Service port: `appProtocol`, else the prefix of its name, else a few known ports. UNKNOWN
 * lets proxies look at the first bytes; it is also the answer for ports that are not TCP.
 */
export function appProtocolOf(port: ServicePort): AppProtocol {
  if ((port.protocol ?? 'TCP') !== 'TCP') return AppProtocol.UNKNOWN;
  const reserved = byKubernetesName.get(port.appProtocol ?? '');
  if (reserved !== undefined) return reserved;
  const name = (port.appProtocol ?? port.name ?? '').toLowerCase();
  // `grpc-web` is a name of its own, not grpc with a suffix.
  const prefix = name === 'grpc-web' || name.startsWith('grpc-web-') ? 'grpc-web' : name.split('-', 1)[0];
  return byName.get(prefix ?? '') ?? (isServerFirstPort(port.port) ? AppProtocol.TCP : AppProtocol.UNKNOWN);
}
