import { expect, test } from 'vitest';
import { serviceVariables } from '#sandbox/node/runtime/service-environment.js';

const service = (clusterIP: string, ports: { name?: string; port: number; protocol?: string }[]) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'my-dns', namespace: 'ns' },
  spec: { clusterIP, ports },
});

test('a service is known by its host, its first port and a link for each port', () => {
  const env = serviceVariables(
    service('10.96.0.7', [
      { name: 'dns-tcp', port: 53 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ]),
  );
  expect(env).toEqual({
    MY_DNS_SERVICE_HOST: '10.96.0.7',
    MY_DNS_SERVICE_PORT: '53',
    MY_DNS_SERVICE_PORT_DNS_TCP: '53',
    MY_DNS_SERVICE_PORT_DNS: '53',
    MY_DNS_PORT: 'tcp://10.96.0.7:53',
    MY_DNS_PORT_53_TCP: 'tcp://10.96.0.7:53',
    MY_DNS_PORT_53_TCP_PROTO: 'tcp',
    MY_DNS_PORT_53_TCP_PORT: '53',
    MY_DNS_PORT_53_TCP_ADDR: '10.96.0.7',
    MY_DNS_PORT_53_UDP: 'udp://10.96.0.7:53',
    MY_DNS_PORT_53_UDP_PROTO: 'udp',
    MY_DNS_PORT_53_UDP_PORT: '53',
    MY_DNS_PORT_53_UDP_ADDR: '10.96.0.7',
  });
});

test('an IPv6 address is bracketed in links, a headless service has no variables', () => {
  expect(serviceVariables(service('fd00::7', [{ port: 80 }]))['MY_DNS_PORT']).toBe('tcp://[fd00::7]:80');
  expect(serviceVariables(service('None', [{ port: 80 }]))).toEqual({});
});
