import { expect, test } from 'vitest';
import { AppProtocol } from '#mesh/xds/gen/istio/workload_pb.js';
import type { ProbeEvidence } from '#mesh/inspect/probe/probe-evidence.js';
import { policyOfL4Reason } from '#mesh/inspect/probe/probe-policy.js';
import { reportProbe } from '#mesh/inspect/probe/probe-report.js';
import { parseLogLine } from '#mesh/inspect/probe/proxy-log.js';

const tls = {
  version: 'TLSv1.3',
  cipher: 'TLS_AES_128_GCM_SHA256',
  peer: 'spiffe://cluster.local/ns/shop/sa/web',
};
const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { namespace: 'shop', name: 'web-1' },
  spec: { containers: [], nodeName: 'node-2' },
};
const base: ProbeEvidence = {
  source: { namespace: 'shop', name: 'client', node: 'node-1', ip: '10.0.1.1' },
  target: {
    text: 'Service shop/web:80',
    host: '10.96.0.9',
    port: 80,
    authority: 'web.shop:80',
    protocol: AppProtocol.HTTP11,
    service: { namespace: 'shop', name: 'web' },
    pods: [pod],
  },
  opening: { id: 'x', local: '10.0.1.1:4711', connectMs: 0.4, isRedirected: true },
  end: { state: 'open' },
  isSourceEnrolled: true,
  isTargetEnrolled: true,
  sourceProxy: { name: 'ztunnel-a on node-1' },
};
const outbound = { src: '10.0.1.1:4711', actualDst: '10.0.2.1:15008', protocol: 'HBONE', tls };
const inbound = {
  src: '10.0.1.1:999',
  client: '10.0.1.1:4711',
  actualDst: '10.0.2.1:8080',
  protocol: 'HBONE',
  tls,
};
const made = { ...base, outbound, inbound, reached: { namespace: 'shop', name: 'web-1' } };

test('a connection that both proxies show encrypted is fine', () => {
  const report = reportProbe(made);
  expect(report).toMatchObject({ isConnected: true, isEncrypted: true, findings: [] });
  expect(report.summary).toContain('reaches Service shop/web:80 encrypted (TLSv1.3 TLS_AES_128_GCM_SHA256)');
  expect(report.hops.map(({ part, state }) => `${part} ${state}`)).toEqual([
    'source ok',
    'source-proxy ok',
    'destination-proxy ok',
    'destination ok',
  ]);
});

test('nothing is called encrypted that no proxy showed so', () => {
  const past = reportProbe({ ...base, opening: { ...base.opening, isRedirected: false } });
  expect(past).toMatchObject({ isEncrypted: false, findings: [{ code: 'MESH0996' }] });
  expect(past.hops[0]?.detail).toContain('not captured');
  const plain = reportProbe({ ...base, outbound: { ...outbound, protocol: 'TCP', tls: undefined } as never });
  expect(plain).toMatchObject({ isEncrypted: false, findings: [{ code: 'MESH0996' }] });
});

test('plaintext with somebody outside of the mesh is said, and is no fault', () => {
  const report = reportProbe({
    ...base,
    isSourceEnrolled: false,
    opening: { ...base.opening, isRedirected: false },
  });
  expect(report).toMatchObject({ isConnected: true, isEncrypted: false, findings: [] });
  expect(report.summary).toContain('in plaintext: the source is not in the mesh');
});

test.each([
  ['explicitly denied by: shop/deny-client', 'MESH0994', 'denied by policy shop/deny-client'],
  ['explicitly denied by: istio-system/istio_converted_static_strict', 'MESH0994', 'STRICT'],
  ['allow policies exist, but none allowed', 'MESH0994', 'none allows it'],
  ['connect ECONNREFUSED 10.0.2.1:8080', 'MESH0993', 'nothing listens on 10.0.2.1:8080'],
])('%s at the target is the cause', (targetError, code, words) => {
  const policy = policyOfL4Reason(targetError, 'ztunnel-b on node-2');
  const report = reportProbe({
    ...base,
    end: { state: 'closed', closedAfterMs: 3, error: 'ECONNRESET' },
    sourceError: 'spiffe://cluster.local/ns/shop/sa/web refused 10.0.2.1:8080 with status 401',
    targetError,
    ...(policy === undefined ? {} : { policy }),
  });
  expect(report).toMatchObject({ isConnected: false, findings: [{ code }] });
  expect(report.summary).toContain(words);
});

const capture = {
  uid: 'u',
  name: 'client',
  namespace: 'shop',
  ips: ['10.0.1.1'],
  state: 'enabled' as const,
  netnsInode: '1',
  rules: { ok: true, missing: [] },
  listeners: { '15001': true, '15006': true, '15008': true },
};

test('a connection that was over at once is of a captured pod where the agent sees it captured', () => {
  const { isRedirected: _, ...opening } = base.opening;
  const end = { state: 'closed' as const, closedAfterMs: 0, error: 'ECONNRESET' };
  const [seen] = reportProbe({ ...base, opening, end, capture }).hops;
  expect(seen?.detail).toBe('captured, from 10.0.1.1:4711');
  const [unseen] = reportProbe({ ...base, opening, end }).hops;
  expect(unseen?.detail).toContain('ended before it could be seen whether it is captured');
});

test('a refused connection of a captured pod is the matter of its node proxy, not of the target', () => {
  const opening = { connectMs: 0.1, error: 'ECONNREFUSED' };
  const away = { ...capture, listeners: { ...capture.listeners, '15001': false } };
  const { summary } = reportProbe({ ...base, opening, end: undefined, capture: away });
  expect(summary).toContain('the node proxy of node-1 does not take its connections');
  expect(reportProbe({ ...base, opening, end: undefined }).summary).toContain('nothing listens there');
});

test('a blocked HBONE port is named', () => {
  const sourceError =
    'connection to 10.0.2.1:15008 timed out, maybe a NetworkPolicy is blocking HBONE port 15008';
  const report = reportProbe({ ...base, end: { state: 'closed', closedAfterMs: 10_000 }, sourceError });
  expect(report.findings).toMatchObject([{ code: 'MESH0995', evidence: [sourceError] }]);
});

test('an answer that the waypoint made up is no connection to the application, one of the application is', () => {
  const waypoint = {
    namespace: 'shop',
    name: 'waypoint-1',
    node: 'node-2',
    ip: '10.0.2.9',
    gateway: 'shop/waypoint',
  };
  const headers = { server: 'istio-envoy' };
  const made503 = reportProbe({
    ...made,
    waypoint,
    http: { requestId: 'r', status: 503, headers, body: 'no healthy upstream' },
  });
  expect(made503.findings).toMatchObject([{ code: 'MESH0997' }]);
  expect(made503.summary).toContain('answers 503: no healthy upstream');
  const passed = { ...headers, 'x-envoy-upstream-service-time': '3' };
  expect(
    reportProbe({ ...made, waypoint, http: { requestId: 'r', status: 503, headers: passed } }).findings,
  ).toEqual([]);
});

test('log lines of node proxies are read in both formats, with what is quoted', () => {
  const text =
    '2026-12-01T03:51:53.263000Z\terror\taccess\tconnection complete\tsrc.addr=10.0.1.1:4711 direction="outbound" error="refused \\"x\\" by y"';
  expect(parseLogLine(text)).toMatchObject({
    'src.addr': '10.0.1.1:4711',
    direction: 'outbound',
    error: 'refused "x" by y',
  });
  expect(parseLogLine('{"src.addr":"10.0.1.1:4711","error":"e"}')).toEqual({
    'src.addr': '10.0.1.1:4711',
    error: 'e',
  });
  expect(parseLogLine('{broken')).toEqual({});
});
