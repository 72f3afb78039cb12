import type { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { MeshView } from '#mesh/view/mesh-view.js';
import { Metrics } from '#mesh/gateway/telemetry/metrics.js';
import type { TcpConnectionRecord, RequestRecord } from '#mesh/gateway/telemetry/request-record.js';
import { processRegistry } from '#mesh/process/process-metrics.js';
import { endpointAt } from '#mesh/gateway/upstream/endpoint.js';
import { addService, addWorkload, connectionTo } from '../make-mesh.js';
import { AccessLog, type AccessLogEncoding } from '#mesh/gateway/telemetry/access-log.js';

const view = new MeshView();
addService(view, 'web', '10.96.0.1');
addWorkload(view, 'sleep', '10.244.1.5');
addWorkload(view, 'web-0', '10.244.1.7', { backs: ['web'], canonicalRevision: '' });
const connection = connectionTo(view, '10.96.0.1:80');
const endpoint = endpointAt('10.244.1.7', 8080, view.workloadAt('', '10.244.1.7'));

function makeRequest(change: Partial<RequestRecord> = {}): RequestRecord {
  return {
    connection,
    startMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
    method: 'GET',
    path: '/a?b=1',
    protocol: 'HTTP/1.1',
    authority: 'web',
    userAgent: 'curl/8',
    forwardedFor: undefined,
    isGrpc: false,
    requestId: 'id-1',
    status: 200,
    flags: [],
    details: 'via_upstream',
    transportFailure: undefined,
    grpcStatus: undefined,
    receivedBytes: 0,
    sentBytes: 12,
    requestHeaderBytes: 100,
    responseHeaderBytes: 50,
    durationMs: 7,
    upstreamServiceTimeMs: 5,
    endpoint,
    routeName: 'default',
    ...change,
  };
}

function makeConnection(change: Partial<TcpConnectionRecord> = {}): TcpConnectionRecord {
  return {
    connection,
    startMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6),
    flags: [],
    terminationDetails: undefined,
    transportFailure: undefined,
    receivedBytes: 3,
    sentBytes: 4,
    durationMs: 9,
    endpoint,
    ...change,
  };
}

function logged(encoding: AccessLogEncoding, write: (log: AccessLog) => void): string {
  const lines: string[] = [];
  write(new AccessLog(encoding, (line) => lines.push(line)));
  return lines.join('');
}

describe('AccessLog', () => {
  it('writes the default text format', () => {
    expect(logged('text', (log) => log.request(makeRequest()))).toBe(
      '[2026-01-02T03:04:05.006Z] "GET /a?b=1 HTTP/1.1" 200 - via_upstream - "-" 0 12 7 5 "-" "curl/8" "id-1" "web" ' +
        '"10.244.1.7:8080" inbound-vip|80|http|web.shop.svc.cluster.local - 10.96.0.1:80 10.244.1.5:40000 - default\n',
    );
  });

  it('writes one JSON object a line, with every key of the format', () => {
    const parsed = JSON.parse(logged('json', (log) => log.request(makeRequest({ flags: ['UF', 'URX'] }))));
    expect(Object.keys(parsed).sort()).toEqual(
      (
        'start_time route_name method path protocol response_code response_flags response_code_details ' +
        'connection_termination_details upstream_transport_failure_reason bytes_received bytes_sent duration ' +
        'upstream_service_time x_forwarded_for user_agent request_id authority upstream_host upstream_cluster ' +
        'upstream_local_address downstream_local_address downstream_remote_address requested_server_name'
      )
        .split(' ')
        .sort(),
    );
    expect(parsed).toMatchObject({ response_code: 200, response_flags: 'UF,URX', x_forwarded_for: null });
  });

  it('lets no client forge a field or a line', () => {
    const nasty = makeRequest({
      path: '/a" 200\n[x]',
      userAgent: 'x" "y\\',
      requestId: 'a\r\nb\u0000',
      details: 'two words',
    });
    const line = logged('text', (log) => log.request(nasty));
    expect(line.split('\n')).toHaveLength(2);
    expect(line).toContain('"GET /a\\" 200\\x0a[x] HTTP/1.1"');
    expect(line).toContain('"x\\" \\"y\\\\"');
    expect(line).toContain('"a\\x0d\\x0ab\\x00"');
    expect(line).toContain(' two_words ');
    const json = logged('json', (log) => log.request(nasty));
    expect(json.split('\n')).toHaveLength(2);
    expect(JSON.parse(json).path).toBe('/a" 200\n[x]');
  });

  it('writes TCP connections, and nothing when it is off', () => {
    const line = logged('text', (log) =>
      log.connection(
        makeConnection({ flags: ['UF'], terminationDetails: 'denied', transportFailure: 'no way' }),
      ),
    );
    expect(line).toContain('] "- - -" 0 UF - denied "no way" 3 4 9 - ');
    expect(line).toContain(' inbound-vip|80|tcp|web.shop.svc.cluster.local ');
    const silent = logged('off', (log) => {
      log.request(makeRequest());
      log.connection(makeConnection());
    });
    expect(silent).toBe('');
  });
});

describe('Metrics', () => {
  let registry: Registry;
  const makeMetrics = (): Metrics => {
    registry = processRegistry({ component: 'proxy', tag: '1.2.3' });
    return new Metrics(registry);
  };
  const seriesOf = async (name: string): Promise<Record<string, unknown>[]> =>
    ((await registry.getMetricsAsJSON()).find((metric) => metric.name === name)?.values ?? []).map(
      ({ labels, value }) => ({ ...labels, value }),
    );

  it('labels a request with both ends of it', async () => {
    const metrics = makeMetrics();
    metrics.request(makeRequest());
    metrics.request(makeRequest());
    expect(await seriesOf('istio_requests_total')).toEqual([
      {
        reporter: 'waypoint',
        source_workload: 'sleep',
        source_canonical_service: 'sleep',
        source_canonical_revision: 'v1',
        source_workload_namespace: 'shop',
        source_principal: 'spiffe://cluster.local/ns/shop/sa/sleep',
        source_app: 'sleep',
        source_version: 'v1',
        source_cluster: 'Kubernetes',
        destination_workload: 'web-0',
        destination_workload_namespace: 'shop',
        destination_principal: 'spiffe://cluster.local/ns/shop/sa/web-0',
        destination_app: 'web-0',
        destination_version: 'latest',
        destination_service: 'web.shop.svc.cluster.local',
        destination_canonical_service: 'web-0',
        destination_canonical_revision: 'latest',
        destination_service_name: 'web',
        destination_service_namespace: 'shop',
        destination_cluster: 'Kubernetes',
        request_protocol: 'http',
        response_code: '200',
        grpc_response_status: '',
        response_flags: '-',
        connection_security_policy: 'mutual_tls',
        value: 2,
      },
    ]);
  });

  it('does not know the workload of a refused request, nor the client of an unknown address', async () => {
    const metrics = makeMetrics();
    const stranger = { ...connection, source: undefined };
    metrics.request(makeRequest({ connection: stranger, endpoint: undefined, status: 403 }));
    expect((await seriesOf('istio_requests_total'))[0]).toMatchObject({
      source_workload: 'unknown',
      source_workload_namespace: 'shop',
      source_canonical_revision: 'unknown',
      destination_workload: 'unknown',
      destination_principal: 'unknown',
      destination_service: 'web.shop.svc.cluster.local',
      response_code: '403',
    });
  });

  it('counts gRPC by its own status, and bytes with headers', async () => {
    const metrics = makeMetrics();
    metrics.request(makeRequest({ isGrpc: true, grpcStatus: '7', receivedBytes: 20, flags: ['UC', 'DC'] }));
    expect((await seriesOf('istio_requests_total'))[0]).toMatchObject({
      request_protocol: 'grpc',
      grpc_response_status: '7',
      response_flags: 'UC,DC',
    });
    const text = await registry.metrics();
    expect(text).toMatch(/istio_request_bytes_sum\{[^}]*\} 120/);
    expect(text).toMatch(/istio_response_bytes_sum\{[^}]*\} 62/);
    expect(text).toMatch(/istio_request_duration_milliseconds_bucket\{le="10",/);
    expect(text).toMatch(/istio_build\{component="proxy",tag="1\.2\.3"\} 1/);
  });

  it('counts TCP connections without the labels of HTTP', async () => {
    const metrics = makeMetrics();
    metrics.connectionOpened(makeConnection());
    metrics.connectionClosed(makeConnection());
    const [opened] = await seriesOf('istio_tcp_connections_opened_total');
    expect(opened).toMatchObject({ request_protocol: 'tcp', value: 1 });
    expect(opened).not.toHaveProperty('response_code');
    expect((await seriesOf('istio_tcp_received_bytes_total'))[0]).toMatchObject({ value: 3 });
    expect((await seriesOf('istio_tcp_sent_bytes_total'))[0]).toMatchObject({ value: 4 });
  });
});
