import { dumpCertificate } from '../../identity/certificate-dump.js';
import type { CertificateState } from '../../identity/certificate-manager.js';
import type { SpiffeId } from '../../identity/spiffe.js';
import type { MeshNames } from '../../rules/trust-domain.js';
import { productVersion } from '../../telemetry/version.js';
import { type GatewaySelf, usesGateway } from '../connection/destination.js';
import { portProtocol } from '../connection/port-protocol.js';
import type { TunnelListener } from '../listener/tunnel-listener.js';
import type { L7PolicyStore } from '../../policy/l7/l7-policy-store.js';
import type { MeshView } from '../../view/mesh-view.js';
import { waypointsOf } from '../../view/waypoints.js';

export interface GatewayDumpInput {
  readonly gateway: { readonly namespace: string; readonly name: string };
  readonly identity: SpiffeId;
  /** What it was told of the mesh when it was started. */
  readonly names: MeshNames;
  readonly certificates: readonly CertificateState[];
  readonly policies: L7PolicyStore;
  readonly view: MeshView;
  readonly listener: TunnelListener;
  readonly self: GatewaySelf;
}

/** The state dump of the admin port. Services are those bound to this gateway. */
export function gatewayDump({
  gateway,
  identity,
  names,
  certificates,
  policies,
  view,
  listener,
  self,
}: GatewayDumpInput): unknown {
  return {
    version: productVersion,
    gateway,
    identity,
    config: names,
    certificates: certificates.map(dumpCertificate),
    policies: policies.dump(),
    services: [...view.services]
      .filter((service) =>
        waypointsOf({ kind: 'service', service }).some((ref) => usesGateway(view, self, ref)),
      )
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map((service) => ({
        namespace: service.namespace,
        hostname: service.hostname,
        ports: [...service.ports.values()].map((known) => ({
          port: known.port,
          protocol: portProtocol(known.port, known.protocol),
        })),
        vips: service.vips.map(({ network, ip }) => `${network}/${ip}`),
        endpoints: [...view.members(service.key)].map(({ uid, addresses, status }) => ({
          uid,
          ips: addresses,
          isHealthy: status === 'Healthy',
          status,
        })),
      })),
    connections: listener.live,
  };
}
