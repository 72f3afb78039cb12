import { familyOf } from '#base/net/address.js';
import type { KubeClient } from '#base/kube/client.js';
import { endpointSlices, services } from '#base/kube/resource.js';

const fieldManager = 'meshctl-sandbox';

/**
 * Makes the well-known Service kube-system/kube-dns with `clusterIp` and points
 * it at the DNS server's own address; idempotent. Port 53 leads to `port`.
 */
export async function publishDnsService(o: {
  readonly client: KubeClient;
  readonly clusterIp: string;
  readonly address: string;
  readonly port: number;
}): Promise<void> {
  const metadata = { name: 'kube-dns', namespace: 'kube-system' };
  const ports = [
    { name: 'dns', protocol: 'UDP' },
    { name: 'dns-tcp', protocol: 'TCP' },
  ];
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata, labels: { 'k8s-app': 'kube-dns', 'kubernetes.io/name': 'CoreDNS' } },
    spec: {
      clusterIP: o.clusterIp,
      ports: ports.map((port) => ({ ...port, port: 53, targetPort: o.port })),
    },
  };
  const slice = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'kube-dns' } },
    addressType: familyOf(o.address),
    endpoints: [{ addresses: [o.address], conditions: { ready: true, serving: true, terminating: false } }],
    ports: ports.map((port) => ({ ...port, port: o.port })),
  };
  await o.client.apply(services, service, { fieldManager, force: true });
  await o.client.apply(endpointSlices, slice, { fieldManager, force: true });
}
