import { describe, expect, test } from 'vitest';
import { appProtocolOf, isServerFirstPort } from '#mesh/rules/app-protocol.js';
import { AppProtocol } from '#mesh/xds/gen/istio/workload_pb.js';

const { GRPC, HTTP11, HTTP2, TCP, TLS, UNKNOWN } = AppProtocol;

describe('a name, alone, with a suffix, and as appProtocol on any port', () => {
  test.each([
    ['http', HTTP11],
    ['http2', HTTP2],
    ['grpc', GRPC],
    ['grpc-web', HTTP11],
    ['https', TLS],
    ['tls', TLS],
    ['tcp', TCP],
    ['mongo', TCP],
    ['mysql', TCP],
    ['redis', TCP],
    ['web', UNKNOWN],
    ['constructor', UNKNOWN],
  ])('%s', (name, expected) => {
    expect(appProtocolOf({ port: 3307, name })).toBe(expected);
    expect(appProtocolOf({ port: 3307, name: `${name}-x` })).toBe(expected);
    expect(appProtocolOf({ port: 3307, name: 'web', appProtocol: name })).toBe(expected);
    expect(appProtocolOf({ port: 3307, name: 'web', appProtocol: name.toUpperCase() })).toBe(expected);
    // What is not TCP has no application protocol here.
    expect(appProtocolOf({ port: 3307, name, protocol: 'UDP' })).toBe(UNKNOWN);
  });
});

test.each<[Parameters<typeof appProtocolOf>[0], AppProtocol]>([
  [{ port: 80, appProtocol: 'kubernetes.io/h2c' }, HTTP2],
  [{ port: 80, appProtocol: 'kubernetes.io/ws' }, HTTP11],
  [{ port: 80, appProtocol: 'kubernetes.io/wss' }, TLS],
  [{ port: 80, name: 'http', appProtocol: 'example.com/custom' }, UNKNOWN],
  [{ port: 80, name: 'http', appProtocol: 'redis' }, TCP],
  [{ port: 80, name: '' }, UNKNOWN],
  [{ port: 80, name: '-http' }, UNKNOWN],
  [{ port: 3306 }, TCP],
  [{ port: 3306, name: 'db' }, TCP],
  [{ port: 3306, name: 'http-db' }, HTTP11],
  [{ port: 53, name: 'tcp', protocol: 'UDP' }, UNKNOWN],
])('protocol of %j is %s', (port, protocol) => {
  expect(appProtocolOf(port)).toBe(protocol);
});

test('a few ports are TCP when nothing is declared', () => {
  expect([25, 53, 3306, 27017, 80, 6379].map(isServerFirstPort)).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
  ]);
});
