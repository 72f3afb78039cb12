import { describe, expect, it } from 'vitest';
import { type ChainTable, parseTables, renderTable } from '#sandbox/cluster/netfilter/chain-table.js';
import type { IpFamily } from '#base/net/address.js';
import { serviceTables } from '#sandbox/cluster/service-routing/rules.js';
import { serviceRoutes } from '#sandbox/cluster/service-routing/service-route.js';
import type { EndpointSlice, Service } from '#base/kube/types.js';
import { makeService, makeSlice } from './objects.js';

const node = { name: 'node-1', zone: undefined as string | undefined };
const up = (ip: string, nodeName = 'node-1') => ({ addresses: [ip], nodeName, conditions: { ready: true } });

function rules(
  services: Service[],
  slices: EndpointSlice[],
  o: { at?: typeof node; family?: IpFamily } = {},
): { nat: string; filter: string } {
  const { at = node, family = 'IPv4' } = o;
  const podNetwork = family === 'IPv4' ? '10.244.0.0/16' : 'fd00:10:244::/48';
  const [nat, filter] = serviceTables(serviceRoutes({ services, slices, node: at, family }), {
    family,
    podNetwork,
  });
  return { nat: linesOf(nat), filter: linesOf(filter) };
}

function linesOf(table: ChainTable | undefined): string {
  return [...(table?.chains ?? [])]
    .flatMap(([chain, lines]) => lines.map((line) => `${chain} ${line}`))
    .join('\n');
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
    expect(local.nat.match(new RegExp(`^${target} .*-j KUBE-SEP-`, 'gm'))).toHaveLength(1);
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

  it('let only the named networks use a load balancer address', () => {
    const spec = {
      type: 'LoadBalancer',
      ports: [{ port: 80, nodePort: 30080 }],
      loadBalancerSourceRanges: ['192.0.2.0/24', ' fd00::/64'],
    };
    const service = {
      ...makeService('a', spec),
      status: { loadBalancer: { ingress: [{ ip: '172.18.200.1' }] } },
    };
    const { nat, filter } = rules([service], [makeSlice('a', [up('10.244.1.2')])]);
    const chain = /-d 172\.18\.200\.1\/32 .* -j (KUBE-FW-\S+)/.exec(nat)?.[1] ?? 'none';
    expect(nat.split('\n').filter((line) => line.startsWith(`${chain} `))).toEqual([
      expect.stringMatching(/ -s 192\.0\.2\.0\/24 .* -j KUBE-EXT-/),
    ]);
    expect(filter).toMatch(/KUBE-PROXY-FIREWALL -d 172\.18\.200\.1\/32 .* -j DROP/);
    const open = { ...service, spec: { ...service.spec, loadBalancerSourceRanges: ['0.0.0.0/0'] } };
    expect(rules([open], [makeSlice('a', [up('10.244.1.2')])]).filter).not.toContain('DROP');
    const proxied = {
      ...service,
      status: { loadBalancer: { ingress: [{ ip: '172.18.200.1', ipMode: 'Proxy' }] } },
    };
    expect(rules([proxied], [makeSlice('a', [up('10.244.1.2')])]).nat).not.toContain('172.18.200.1');
  });

  it('stay in the zone that the hints of every endpoint name', () => {
    const hinted = (ip: string, zone: string) => ({ ...up(ip), hints: { forZones: [{ name: zone }] } });
    const slices = [makeSlice('a', [hinted('10.244.1.2', 'east'), hinted('10.244.1.3', 'west')])];
    const reached = (zone: string | undefined, these = slices) =>
      [
        ...rules([makeService('a')], these, { at: { ...node, zone } }).nat.matchAll(
          /--to-destination (\S+)/g,
        ),
      ].map((match) => match[1]);
    expect(reached('east')).toEqual(['10.244.1.2:8080']);
    expect(reached('north')).toHaveLength(2);
    expect(reached(undefined)).toHaveLength(2);
    expect(reached('east', [...slices, makeSlice('a', [up('10.244.1.4')])])).toHaveLength(3);
  });

  it('route each IP family by its own addresses', () => {
    const service = makeService('a', { clusterIPs: ['10.96.0.5', 'fd00:10:96::5'] });
    const six = { ...makeSlice('a', [up('fd00:10:244:1::2')]), addressType: 'IPv6' };
    const four = makeSlice('a', [up('10.244.1.2')]);
    const { nat } = rules([service], [four, six], { family: 'IPv6' });
    expect(nat).toContain('-d fd00:10:96::5/128');
    expect(nat).toContain('--to-destination [fd00:10:244:1::2]:8080');
    expect(nat).not.toContain('10.244.1.2');
    expect(rules([service], [six]).filter).toMatch(/-d 10\.96\.0\.5\/32 .* -j REJECT/);
  });

  it('keep TCP and UDP ports of one number apart', () => {
    const ports = [
      { name: 'dns', port: 53, protocol: 'UDP' },
      { name: 'dns-tcp', port: 53, protocol: 'TCP' },
    ];
    const slice = makeSlice('a', [up('10.244.1.2')], [{ name: 'dns', port: 5353, protocol: 'UDP' }]);
    const { nat, filter } = rules([makeService('a', { ports })], [slice]);
    expect(nat).toMatch(/-p udp .* -j DNAT --to-destination 10\.244\.1\.2:5353/);
    expect(filter).toMatch(/-p tcp -m tcp --dport 53 .* -j REJECT/);
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
    const [nat] = serviceTables([], { family: 'IPv4', podNetwork: '10.244.0.0/16' });
    const present = parseTables(saved, 'KUBE-').get('nat');
    expect(present?.chains.get('KUBE-SERVICES')).toBe(1);
    const lines = renderTable(nat ?? { name: 'nat', chains: new Map(), jumps: [] }, {
      rewrite: [...(nat?.chains.keys() ?? [])],
      stale: ['KUBE-SVC-OLD'],
      presentJumps: present?.jumps ?? [],
    }).split('\n');
    expect(lines).toContain('-X KUBE-SVC-OLD');
    expect(lines).toContain('-D OUTPUT -j KUBE-SVC-OLD');
    expect(lines.filter((line) => line.startsWith('-I PREROUTING'))).toEqual([]);
    expect(lines.filter((line) => line.startsWith('-I OUTPUT 1'))).toHaveLength(1);
    expect(lines.join('\n')).not.toMatch(/ISTIO|CNI-/);
  });

  it('writes nothing when nothing changed, and only the chains that did', () => {
    const table: ChainTable = {
      name: 'filter',
      chains: new Map([
        ['KUBE-A', ['-j DROP']],
        ['KUBE-B', ['-j KUBE-A']],
      ]),
      jumps: [{ from: 'INPUT', match: '-m conntrack --ctstate NEW', to: 'KUBE-B' }],
    };
    const presentJumps = ['INPUT -m conntrack --ctstate NEW -j KUBE-B'];
    expect(renderTable(table, { rewrite: [], stale: [], presentJumps })).toBe('');
    expect(renderTable(table, { rewrite: ['KUBE-B'], stale: [], presentJumps }).split('\n')).toEqual([
      '*filter',
      ':KUBE-B - [0:0]',
      '-A KUBE-B -j KUBE-A',
      'COMMIT',
      '',
    ]);
  });
});
