import { describe, expect, it } from 'vitest';
import { MeshView } from '#mesh/view/mesh-view.js';
import { AppProtocol } from '#mesh/xds/gen/istio/workload_pb.js';
import { addService, addWorkload, gatewayAt, gatewayNamed, self } from '../make-mesh.js';
import { formatAddress, parseAddressPort } from '#mesh/l7/message/address.js';
import { resolveDestination } from '#mesh/gateway/connection/destination.js';

describe('parseAddressPort', () => {
  it.each([
    ['10.0.0.1:80', '10.0.0.1', 80],
    ['[fd00::1]:8080', 'fd00::1', 8080],
    ['[FD00:0:0::1]:1', 'fd00::1', 1],
  ])('%s', (authority, ip, port) => {
    expect(parseAddressPort(authority)).toEqual({ ip, port });
  });

  it.each([
    '10.0.0.1',
    '10.0.0.1:0',
    '10.0.0.1:65536',
    '10.0.0.256:80',
    'web:80',
    'fd00::1:80',
    '[10.0.0.1]:80',
    '10.0.0.1:80x',
    '',
  ])('%s is nothing', (authority) => {
    expect(parseAddressPort(authority)).toBeUndefined();
  });

  it('is the inverse of formatAddress', () => {
    for (const text of ['10.0.0.1:80', '[fd00::1]:80']) {
      const parsed = parseAddressPort(text);
      expect(parsed && formatAddress(parsed)).toBe(text);
    }
  });
});

describe('resolveDestination', () => {
  const resolve = (view: MeshView, authority: string, clientNamespace = 'shop') =>
    resolveDestination(view, self, { authority, clientNamespace });

  it('knows a service by its address and speaks what its port declares', () => {
    const view = new MeshView();
    const ports = [
      AppProtocol.HTTP11,
      AppProtocol.HTTP2,
      AppProtocol.GRPC,
      AppProtocol.TCP,
      AppProtocol.TLS,
      AppProtocol.UNKNOWN,
    ];
    addService(view, 'web', '10.96.0.1', {
      ports: ports.map((appProtocol, i) => ({ servicePort: 80 + i, targetPort: 8080, appProtocol })),
    });
    const protocols = ports.map((_, i) => {
      const found = resolve(view, `10.96.0.1:${80 + i}`);
      return found.kind === 'service' ? found.protocol : found.kind;
    });
    expect(protocols).toEqual(['http1', 'http2', 'http2', 'tcp', 'tls', 'sniff']);
  });

  it('never looks into ports whose servers speak first, unless they are declared', () => {
    const view = new MeshView();
    addService(view, 'db', '10.96.0.1', {
      ports: [{ servicePort: 3306, targetPort: 3306, appProtocol: AppProtocol.UNKNOWN }],
    });
    expect(resolve(view, '10.96.0.1:3306')).toMatchObject({ protocol: 'tcp' });
  });

  it.each([
    ['by name', gatewayNamed('waypoint')],
    ['by its own address', gatewayAt(self.podIp)],
    ['by the address of its service', gatewayAt('10.96.9.9')],
  ])('serves what refers to it %s', (_name, waypoint) => {
    const view = new MeshView();
    addService(view, 'waypoint', '10.96.9.9');
    addService(view, 'web', '10.96.0.1', { waypoint });
    addWorkload(view, 'pod', '10.244.1.7', { waypoint });
    expect(resolve(view, '10.96.0.1:80').kind).toBe('service');
    expect(resolve(view, '10.244.1.7:9000')).toMatchObject({ kind: 'workload', protocol: 'sniff' });
  });

  it.each([
    ['another gateway', gatewayNamed('other')],
    ['an address that is not ours', gatewayAt('10.96.8.8')],
    ['our address in another network', gatewayAt(self.podIp, 'far')],
    ['no gateway', undefined],
  ])('refuses what refers to %s', (_name, waypoint) => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1', { waypoint });
    addWorkload(view, 'pod', '10.244.1.7', waypoint === undefined ? {} : { waypoint });
    expect(resolve(view, '10.96.0.1:80')).toMatchObject({ kind: 'refused', status: 404 });
    expect(resolve(view, '10.244.1.7:80')).toMatchObject({ kind: 'refused', status: 404 });
  });

  it('refuses unknown addresses, ports and names', () => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1');
    expect(resolve(view, '10.96.0.2:80')).toMatchObject({ status: 404 });
    expect(resolve(view, '10.96.0.1:81')).toMatchObject({ status: 404 });
    expect(resolve(view, 'web.shop:80')).toMatchObject({ status: 400 });
  });

  it('follows a service that moves to another gateway or goes away', () => {
    const view = new MeshView();
    addService(view, 'web', '10.96.0.1');
    addService(view, 'web', '10.96.0.2', { waypoint: gatewayNamed('other') });
    expect(resolve(view, '10.96.0.1:80')).toMatchObject({
      reason: 'no service or workload has this address',
    });
    expect(resolve(view, '10.96.0.2:80').kind).toBe('refused');
    addService(view, 'web', '10.96.0.2');
    expect(resolve(view, '10.96.0.2:80').kind).toBe('service');
    view.remove('shop/web.shop.svc.cluster.local');
    expect(resolve(view, '10.96.0.2:80').kind).toBe('refused');
  });
});
