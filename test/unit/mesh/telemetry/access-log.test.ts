import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AccessRecord, logConnection, logEarlyFailure, logOpened } from '#mesh/telemetry/access-log.js';
import { setLogOutput } from '#base/telemetry/log.js';

let lines: string[];

beforeEach(() => {
  lines = [];
  setLogOutput((line) => lines.push(line));
});
afterEach(() => setLogOutput((line) => process.stdout.write(line)));

const record: AccessRecord = {
  direction: 'outbound',
  sourceAddress: '10.8.1.7:52000',
  source: { workload: 'web-0', namespace: 'shop', clusterId: 'c1' },
  sourceIdentity: 'spiffe://cluster.local/ns/shop/sa/web',
  destinationAddress: '10.8.3.3:15008',
  hboneAddress: '10.8.3.3:8080',
  service: undefined,
  destination: undefined,
  destinationIdentity: undefined,
  bytesSent: 67,
  bytesReceived: 490,
  durationMs: 12.6,
  error: undefined,
};

test('a finished connection is one line in upstream’s order', () => {
  logConnection(record);
  const [, level, scope, message, fields] = lines[0]?.trimEnd().split('\t') ?? [];
  expect([level, scope, message]).toEqual(['info', 'access', 'connection complete']);
  expect(fields).toBe(
    'src.addr=10.8.1.7:52000 src.workload="web-0" src.namespace="shop" ' +
      'src.identity="spiffe://cluster.local/ns/shop/sa/web" src.cluster="c1" dst.addr=10.8.3.3:15008 ' +
      'dst.hbone_addr=10.8.3.3:8080 direction="outbound" bytes_sent=67 bytes_recv=490 duration="13ms"',
  );
});

test('an error raises the level', () => {
  logConnection({ ...record, error: 'refused' });
  expect(lines[0]).toContain('\terror\taccess\t');
  expect(lines[0]).toContain('error="refused"');
});

test('an early failure names only what is known; opening is for debugging', () => {
  logEarlyFailure({
    sourceAddress: '10.0.0.1:1',
    destinationAddress: '10.0.0.2:2',
    direction: 'inbound',
    error: 'who is this',
  });
  logOpened(record);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toContain('\twarn\taccess\tconnection failed\t');
});
