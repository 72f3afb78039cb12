import { type Answer, decode, encode, type OptAnswer, type Packet, type RecordType } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EndpointSlice, Namespace, Service } from '#base/kube/types.js';
import { addressOfReverse, type ZoneSource } from '#sandbox/cluster/dns/records.js';
import { respond } from '#sandbox/cluster/dns/responder.js';
import { makeService, makeSlice } from './objects.js';

const endpoint = (ip: string, o: { hostname?: string; ready?: boolean } = {}) => ({
  addresses: [ip],
  conditions: { ready: o.ready ?? true },
  ...(o.hostname === undefined ? {} : { hostname: o.hostname }),
});
const httpPort = [{ name: 'http', port: 8080, protocol: 'TCP' }];
const services: Service[] = [
  makeService('web', {
    clusterIP: '10.96.0.5',
    clusterIPs: ['10.96.0.5'],
    ports: [{ name: 'http', port: 80 }],
  }),
  makeService('db', { clusterIP: 'None', ports: [{ name: 'http', port: 80 }] }),
  makeService('empty', { clusterIP: 'None' }),
  makeService('alias', { type: 'ExternalName', externalName: 'web.ns.svc.cluster.local' }),
  makeService('outside', { type: 'ExternalName', externalName: 'example.org.' }),
];
const slices: Record<string, EndpointSlice[]> = {
  db: [
    makeSlice(
      'db',
      [
        endpoint('10.244.1.2', { hostname: 'db-0' }),
        endpoint('10.244.2.3'),
        endpoint('10.244.2.4', { ready: false }),
      ],
      httpPort,
    ),
  ],
};
const namespace: Namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ns' } };
const source: ZoneSource = {
  service: (ns, name) => (ns === 'ns' ? services.find((each) => each.metadata.name === name) : undefined),
  services: () => services,
  slices: (ns, name) => (ns === 'ns' ? (slices[name] ?? []) : []),
  namespace: (name) => (name === 'ns' ? namespace : undefined),
};

function optRecord(ednsVersion: number): OptAnswer {
  const nothing = { extendedRcode: 0, flags: 0, flag_do: false, options: [] };
  return { type: 'OPT', name: '.', udpPayloadSize: 1232, ednsVersion, ...nothing };
}

function sortKey(answer: Answer): string {
  return `${answer.type === 'CNAME' ? 0 : 1}${JSON.stringify(answer)}`;
}

function ask(
  name: string,
  type: RecordType = 'A',
  o: { isTcp?: boolean; packet?: Packet; from?: ZoneSource; edns?: boolean; ednsVersion?: number } = {},
) {
  const additionals = o.edns === true ? [optRecord(o.ednsVersion ?? 0)] : [];
  const query = encode(
    o.packet ?? { type: 'query', id: 7, flags: 256, questions: [{ type, name }], additionals },
  );
  const reply = respond(query, {
    domain: 'cluster.local',
    source: o.from ?? source,
    isTcp: o.isTcp ?? false,
  });
  if (reply === undefined) throw new Error('no reply');
  const packet = decode(reply);
  return {
    packet,
    bytes: reply.length,
    rcode: (packet.flags ?? 0) & 15,
    // Aliases first; the rest comes in an order of its own each time, see below.
    data: (packet.answers ?? [])
      .toSorted((a, b) => sortKey(a).localeCompare(sortKey(b)))
      .map((answer) => ('data' in answer ? answer.data : undefined)),
  };
}

describe('cluster names', () => {
  it.each([
    ['web.ns.svc.cluster.local', 'A', ['10.96.0.5']],
    ['WEB.ns.SVC.cluster.local', 'A', ['10.96.0.5']],
    ['web.ns.svc.cluster.local', 'AAAA', []],
    ['db.ns.svc.cluster.local', 'A', ['10.244.1.2', '10.244.2.3']],
    ['db-0.db.ns.svc.cluster.local', 'A', ['10.244.1.2']],
    ['10-244-2-3.db.ns.svc.cluster.local', 'A', ['10.244.2.3']],
    ['10-244-9-9.ns.pod.cluster.local', 'A', ['10.244.9.9']],
    ['outside.ns.svc.cluster.local', 'A', ['example.org']],
    ['alias.ns.svc.cluster.local', 'A', ['web.ns.svc.cluster.local', '10.96.0.5']],
    ['5.0.96.10.in-addr.arpa', 'PTR', ['web.ns.svc.cluster.local']],
    ['2.1.244.10.in-addr.arpa', 'PTR', ['db-0.db.ns.svc.cluster.local']],
    ['ns.svc.cluster.local', 'A', []],
    ['svc.cluster.local', 'A', []],
    ['_tcp.web.ns.svc.cluster.local', 'A', []],
  ] as const)('%s %s', (name, type, expected) => {
    const { rcode, data, packet } = ask(name, type);
    expect(rcode).toBe(0);
    expect(data).toEqual(expected);
    // An empty answer tells how long it may be remembered.
    if (expected.length === 0) expect(packet.authorities?.[0]?.type).toBe('SOA');
  });

  it('lists ports of services and of headless endpoints as SRV', () => {
    expect(ask('_http._tcp.web.ns.svc.cluster.local', 'SRV').data).toEqual([
      { priority: 0, weight: 100, port: 80, target: 'web.ns.svc.cluster.local' },
    ]);
    expect(ask('_http._tcp.db.ns.svc.cluster.local', 'SRV').data).toEqual([
      { priority: 0, weight: 100, port: 8080, target: '10-244-2-3.db.ns.svc.cluster.local' },
      { priority: 0, weight: 100, port: 8080, target: 'db-0.db.ns.svc.cluster.local' },
    ]);
  });

  it.each([
    'none.ns.svc.cluster.local',
    'web.other.svc.cluster.local',
    'empty.ns.svc.cluster.local',
    'x.web.ns.svc.cluster.local',
    'x.cluster.local',
    '_x._tcp.web.ns.svc.cluster.local',
  ])("%s does not exist, and says so with the zone's SOA", (name) => {
    const { rcode, packet } = ask(name);
    expect(rcode).toBe(3);
    expect(packet.authorities?.[0]?.type).toBe('SOA');
  });

  it.each(['example.org', 'cluster.local.example.org', 'mycluster.local', '4.4.8.8.in-addr.arpa'])(
    '%s is outside: it does not exist, which no resolver asks twice, and dig shows why',
    (name) => {
      const { rcode, packet } = ask(name, 'A', { edns: true });
      expect(rcode).toBe(3);
      expect(packet.authorities?.[0]).toMatchObject({ type: 'SOA', name: '.' });
      const opt = packet.additionals?.find((each) => each.type === 'OPT');
      const [option] = (opt?.options ?? []) as unknown as { code: number; data: Buffer }[];
      expect(option?.code).toBe(15);
      expect(option?.data.readUInt16BE(0)).toBe(20);
      expect(option?.data.subarray(2).toString()).toContain('names of the cluster only');
    },
  );

  it('knows reverse names of both families', () => {
    expect(addressOfReverse('4.3.2.10.in-addr.arpa')).toBe('10.2.3.4');
    const nibbles = 'a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f';
    expect(addressOfReverse(`${nibbles}.ip6.arpa`)).toBe('fd00:10:96::a');
    expect(addressOfReverse(`f.${nibbles}.ip6.arpa`)).toBeUndefined();
    expect(addressOfReverse('1.ip6.arpa')).toBeUndefined();
  });

  it('gives single endpoints of an ordinary service a name, and every address its turn', () => {
    const two: ZoneSource = {
      ...source,
      slices: () => [makeSlice('web', [endpoint('10.244.1.2'), endpoint('10.244.1.3')], httpPort)],
    };
    const answer = (name: string) => ask(name, 'A', { from: two }).data;
    expect(answer('10-244-1-3.web.ns.svc.cluster.local')).toEqual(['10.244.1.3']);
    const first = (): unknown => {
      const [record] = ask('db.ns.svc.cluster.local', 'A', { from: two }).packet.answers ?? [];
      return record !== undefined && 'data' in record ? record.data : undefined;
    };
    const firsts = new Set(Array.from({ length: 64 }, first));
    expect(firsts.size).toBe(2);
  });

  it('refuses EDNS versions it does not know', () => {
    const { packet } = ask('web.ns.svc.cluster.local', 'A', { edns: true, ednsVersion: 1 });
    const opt = packet.additionals?.find((each) => each.type === 'OPT');
    expect([packet.answers, opt?.extendedRcode, opt?.ednsVersion]).toEqual([[], 1, 0]);
  });
});

describe('messages', () => {
  const many: ZoneSource = {
    ...source,
    slices: () => [
      makeSlice(
        'db',
        Array.from({ length: 100 }, (_, i) => endpoint(`10.244.1.${i}`)),
        httpPort,
      ),
    ],
  };
  const name = 'db.ns.svc.cluster.local';

  it('are truncated over UDP and complete over TCP', () => {
    const udp = ask(name, 'A', { from: many });
    expect((udp.packet.flags ?? 0) & (1 << 9)).not.toBe(0);
    expect(udp.bytes).toBeLessThanOrEqual(512);
    expect(ask(name, 'A', { from: many, isTcp: true }).data).toHaveLength(100);
  });

  it('may be larger when the client says so', () => {
    const few: ZoneSource = {
      ...source,
      slices: () => [
        makeSlice(
          'db',
          Array.from({ length: 20 }, (_, i) => endpoint(`10.244.1.${i}`)),
          httpPort,
        ),
      ],
    };
    const opt = {
      type: 'OPT' as const,
      name: '.',
      udpPayloadSize: 1232,
      extendedRcode: 0,
      ednsVersion: 0,
      flags: 0,
      flag_do: false,
      options: [],
    };
    const packet: Packet = { type: 'query', id: 1, questions: [{ type: 'A', name }], additionals: [opt] };
    const reply = ask(name, 'A', { from: few, packet });
    expect(reply.data).toHaveLength(20);
    expect(reply.bytes).toBeGreaterThan(512);
    expect(reply.packet.additionals?.[0]?.type).toBe('OPT');
  });

  it('keep the question as asked, id included', () => {
    const { packet } = ask('wEb.nS.svc.cluster.local');
    expect(packet.id).toBe(7);
    expect(packet.questions?.[0]?.name).toBe('wEb.nS.svc.cluster.local');
  });

  it('of any bytes never throw, and answers are never answered', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        respond(Buffer.from(bytes), { domain: 'cluster.local', source, isTcp: false });
      }),
    );
    const answer = encode({ type: 'response', id: 1, questions: [{ type: 'A', name }] });
    expect(respond(answer, { domain: 'cluster.local', source, isTcp: false })).toBeUndefined();
  });

  it('with mutated queries never throw', () => {
    const query = encode({ type: 'query', id: 1, questions: [{ type: 'A', name }] });
    fc.assert(
      fc.property(fc.nat(query.length - 1), fc.nat(255), (at, value) => {
        const mutated = Buffer.from(query);
        mutated[at] = value;
        respond(mutated, { domain: 'cluster.local', source, isTcp: false });
      }),
    );
  });
});
