import { dumpCertificate } from '../../identity/certificate-dump.js';
import type { CertificateState } from '../../identity/certificate-manager.js';
import type { SpiffeId } from '../../identity/spiffe.js';
import { productVersion } from '../../telemetry/version.js';
import { type GatewaySelf, usesGateway } from '../connection/destination.js';
import type { TunnelListener } from '../listener/tunnel-listener.js';
import type { MeshView } from '../mesh/mesh-view.js';
import type { PolicyStore } from '../mesh/policy-store.js';

export interface DumpInput {
  readonly gateway: { readonly namespace: string; readonly name: string };
  readonly identity: SpiffeId;
  readonly certificates: readonly CertificateState[];
  readonly policies: PolicyStore;
  readonly view: MeshView;
  readonly listener: TunnelListener;
  readonly self: GatewaySelf;
}

/** The state dump of the admin port. Services are those bound to this gateway. */
export function configDump({
  gateway,
  identity,
  certificates,
  policies,
  view,
  listener,
  self,
}: DumpInput): unknown {
  return {
    version: productVersion,
    gateway,
    identity,
    certificates: certificates.map(dumpCertificate),
    policies: policies.dump(),
    services: view
      .services()
      .filter((service) => service.waypoints.some((ref) => usesGateway(view, self, ref)))
      .map((service) => ({
        namespace: service.namespace,
        hostname: service.hostname,
        ports: [...service.ports.values()].map(({ port, protocol }) => ({ port, protocol })),
        vips: service.vips.map(({ network, ip }) => `${network}/${ip}`),
        endpoints: [...view.workloadsOf(service)].map((workload) => ({
          uid: workload.uid,
          ips: workload.ips,
          isHealthy: workload.isHealthy,
        })),
      })),
    connections: listener.live,
  };
}
