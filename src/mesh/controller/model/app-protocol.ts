import type { ServicePort } from '#base/kube/types.js';
import { AppProtocol } from '../../xds/gen/istio/workload_pb.js';

const byName: Readonly<Record<string, AppProtocol>> = {
  http: AppProtocol.HTTP11,
  http2: AppProtocol.HTTP2,
  'kubernetes.io/h2c': AppProtocol.HTTP2,
  grpc: AppProtocol.GRPC,
  'kubernetes.io/ws': AppProtocol.HTTP11,
  'kubernetes.io/wss': AppProtocol.TLS,
  tls: AppProtocol.TLS,
  https: AppProtocol.TLS,
  tcp: AppProtocol.TCP,
};

/** Server-speaks-first ports that are plain TCP unless named otherwise: SMTP, DNS, MySQL, MongoDB. */
const plainTcpPorts: ReadonlySet<number> = new Set([25, 53, 3306, 27017]);

/** Application protocol of a Service port: `appProtocol`, else the prefix of its name, else a few known ports. */
export function appProtocolOf(port: ServicePort): AppProtocol {
  if (port.appProtocol !== undefined) return byName[port.appProtocol.toLowerCase()] ?? AppProtocol.UNKNOWN;
  if ((port.protocol ?? 'TCP') !== 'TCP') return AppProtocol.UNKNOWN;
  if (port.name !== undefined && port.name !== '') {
    // `grpc-web` is a name of its own, not grpc with a suffix.
    if (port.name === 'grpc-web' || port.name.startsWith('grpc-web-')) return AppProtocol.UNKNOWN;
    return byName[(port.name.split('-', 1)[0] ?? '').toLowerCase()] ?? AppProtocol.UNKNOWN;
  }
  return plainTcpPorts.has(port.port) ? AppProtocol.TCP : AppProtocol.UNKNOWN;
}
