import { describe, expect, it } from 'vitest';
import { parseSave, renderRestore } from '../../../../src/sandbox/cluster/service-routing/applier.js';
import { renderTables } from '../../../../src/sandbox/cluster/service-routing/rules.js';
import { serviceRoutes } from '../../../../src/sandbox/cluster/service-routing/service-port.js';
import type { EndpointSlice, Service } from '../../../../src/kube/types.js';
import { makeService, makeSlice } from './objects.js';

const node = { name: 'node-1', podNetwork: '10.244.0.0/16' };
const up = (ip: string, nodeName = 'node-1') => ({ addresses: [ip], nodeName, conditions: { ready: true } });

function rules(services: Service[], slices: EndpointSlice[], at = node): { nat: string; filter: string } {
  const [nat, filter] = renderTables(serviceRoutes({ services, slices, node: at }), at);
  return { nat: (nat?.rules ?? []).join('\n'), filter: (filter?.rules ?? []).join('\n') };
}

describe('service rules', () => {
  it('split new connections evenly', () => {
    const { nat } = rules(
      [makeService('a')],
      [makeSlice('a', [up('10.244.1.2'), up('10.244.1.3'), up('10.244.2.2')])],
    );
    const shares = [...nat.matchAll(/--probability (\S+)/g)].map((match) => Number(match[1]));
    expect(shares).toEqual([1 / 3, 1 / 2].map((n) => Number(n.toFixed(10))));
    expect(nat.match(/-j DNAT/g)).toHaveLength(3);
  });

  it('refuse a service without endpoints and route nothing to it', () => {
    const { nat, filter } = rules([makeService('a')], []);
    expect(filter).toContain('-d 10.96.0.5/32 -p tcp -m tcp --dport 80');
    expect(filter).toContain('-j REJECT');
    expect(nat).not.toContain('10.96.0.5');
  });

  it('leave headless and ExternalName services out', () => {
    const { nat, filter } = rules(
      [
        makeService('a', { clusterIP: 'None' }),
        makeService('b', { type: 'ExternalName', externalName: 'x.org' }),
      ],
      [makeSlice('a', [up('10.244.1.2')])],
    );
    expect(`${nat}${filter}`).not.toContain('ns/');
  });

  it('use draining endpoints only when no other is left', () => {
    const draining = {
      addresses: ['10.244.1.9'],
      conditions: { ready: false, serving: true, terminating: true },
    };
    const notReady = {
      addresses: ['10.244.1.8'],
      conditions: { ready: false, serving: false, terminating: false },
    };
    expect(rules([makeService('a')], [makeSlice('a', [draining, notReady])]).nat).toContain(
      '--to-destination 10.244.1.9:8080',
    );
    const { nat } = rules([makeService('a')], [makeSlice('a', [draining, up('10.244.1.2')])]);
    expect(nat).not.toContain('10.244.1.9');
  });

  it('keep clients on their endpoint with ClientIP affinity', () => {
    const spec = { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } } };
    const { nat } = rules([makeService('a', spec)], [makeSlice('a', [up('10.244.1.2'), up('10.244.1.3')])]);
    expect(nat.match(/--rcheck --seconds 60 --reap/g)).toHaveLength(2);
    expect(nat.match(/--set -m tcp -j DNAT/g)).toHaveLength(2);
  });

  it('keep internal traffic on the node with internalTrafficPolicy Local, or drop it', () => {
    const service = makeService('a', { internalTrafficPolicy: 'Local' });
    const local = rules([service], [makeSlice('a', [up('10.244.1.2'), up('10.244.2.2', 'node-2')])]);
    const target = /KUBE-SERVICES -d 10\.96\.0\.5\/32 .* -j (KUBE-SVL-\S+)/.exec(local.nat)?.[1] ?? 'none';
    expect(local.nat.split('\n').filter((line) => line.startsWith(`${target} `))).toHaveLength(1);
    const remote = rules([service], [makeSlice('a', [up('10.244.2.2', 'node-2')])]);
    expect(remote.filter).toContain('-j DROP');
    expect(remote.nat).not.toMatch(/KUBE-SERVICES -d 10\.96\.0\.5/);
  });

  it('do not masquerade external traffic with externalTrafficPolicy Local', () => {
    const spec = { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] };
    const slices = [makeSlice('a', [up('10.244.1.2')])];
    const cluster = rules([makeService('a', spec)], slices).nat;
    const local = rules([makeService('a', { ...spec, externalTrafficPolicy: 'Local' })], slices).nat;
    const external = (text: string) => text.split('\n').filter((line) => line.startsWith('KUBE-EXT-'));
    expect(external(cluster)[0]).toMatch(/-j KUBE-MARK-MASQ$/);
    expect(external(local).at(-1)).toMatch(/^KUBE-EXT-\S+ -j KUBE-SVL-/);
    expect(local).toContain('--dport 30080');
  });

  it('match named ports and keep two ports of one service apart', () => {
    const ports = [
      { name: 'http', port: 80 },
      { name: 'grpc', port: 81 },
    ];
    const slices = [
      makeSlice(
        'a',
        [up('10.244.1.2')],
        [
          { name: 'http', port: 8080, protocol: 'TCP' },
          { name: 'grpc', port: 9090, protocol: 'TCP' },
        ],
      ),
    ];
    const { nat } = rules([makeService('a', { ports })], slices);
    expect(nat).toContain('--to-destination 10.244.1.2:8080');
    expect(nat).toContain('--to-destination 10.244.1.2:9090');
    expect(new Set(nat.match(/KUBE-SEP-\w+/g)).size).toBe(2);
  });
});

describe('applying', () => {
  const saved = [
    '*nat',
    ':PREROUTING ACCEPT [0:0]',
    ':KUBE-SVC-OLD - [0:0]',
    ':KUBE-SERVICES - [0:0]',
    ':CNI-XYZ - [0:0]',
    '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
    '-A PREROUTING -j ISTIO_PRERT',
    '-A OUTPUT -j KUBE-SVC-OLD',
    '-A KUBE-SERVICES -j KUBE-SVC-OLD',
    'COMMIT',
  ].join('\n');

  it("keeps jumps that are there, adds missing ones, removes stale chains, touches nobody else's", () => {
    const tables = renderTables(serviceRoutes({ services: [], slices: [], node }), node).filter(
      (t) => t.name === 'nat',
    );
    const lines = renderRestore(tables, parseSave(saved)).split('\n');
    expect(lines).toContain('-X KUBE-SVC-OLD');
    expect(lines).toContain('-D OUTPUT -j KUBE-SVC-OLD');
    expect(lines.filter((line) => line.startsWith('-I PREROUTING'))).toEqual([]);
    expect(lines.filter((line) => line.startsWith('-I OUTPUT 1'))).toHaveLength(1);
    expect(lines.join('\n')).not.toMatch(/ISTIO|CNI-/);
  });
});
