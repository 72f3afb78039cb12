import { describe, expect, it } from 'vitest';
import type { Endpoints, Node } from '#base/kube/types.js';
import { type DesiredSlice, desiredSlices } from '#sandbox/cluster/controllers/service/endpoint-model.js';
import { mirroredSlices } from '#sandbox/cluster/controllers/service/endpoint-slice-mirroring.js';
import { withHints } from '#sandbox/cluster/controllers/service/topology-hints.js';
import { makePod, makeService } from './objects.js';

const http = [{ name: '', port: 80, protocol: 'TCP' }];

describe('mirrored Endpoints', () => {
  const endpoints = (subsets: NonNullable<Endpoints['subsets']>): Endpoints => ({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'db', namespace: 'ns' },
    subsets,
  });

  it('become a slice per subset and family, with who is ready', () => {
    const slices = mirroredSlices(
      endpoints([
        {
          addresses: [{ ip: '192.0.2.1', hostname: 'db-0' }, { ip: 'fd00::1' }],
          notReadyAddresses: [{ ip: '192.0.2.2' }],
          ports: [{ port: 80 }],
        },
        { addresses: [{ ip: '192.0.2.3' }], ports: [{ name: 'x', port: 81, protocol: 'UDP' }] },
      ]),
    );
    expect(slices).toEqual([
      {
        addressType: 'IPv4',
        ports: http,
        endpoints: [
          { addresses: ['192.0.2.1'], conditions: { ready: true }, hostname: 'db-0' },
          { addresses: ['192.0.2.2'], conditions: { ready: false } },
        ],
      },
      {
        addressType: 'IPv6',
        ports: http,
        endpoints: [{ addresses: ['fd00::1'], conditions: { ready: true } }],
      },
      {
        addressType: 'IPv4',
        ports: [{ name: 'x', port: 81, protocol: 'UDP' }],
        endpoints: [{ addresses: ['192.0.2.3'], conditions: { ready: true } }],
      },
    ]);
  });

  it('are cut off at a thousand addresses, a hundred to a slice', () => {
    const addresses = Array.from({ length: 1_200 }, (_, i) => ({ ip: `10.${i >> 8}.${i & 255}.1` }));
    const slices = mirroredSlices(endpoints([{ addresses, ports: [{ port: 80 }] }]));
    expect(slices.map((slice) => slice.endpoints.length)).toEqual(Array.from({ length: 10 }, () => 100));
  });
});

describe('slices of a dual-stack service', () => {
  it('hold the addresses of their family, and are there when no pod is', () => {
    const service = makeService('s', { ipFamilies: ['IPv4', 'IPv6'], selector: { app: 'x' } });
    const pod = makePod({ name: 'a', ip: '10.0.0.1' });
    const both = { ...pod, status: { ...pod.status, podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] } };
    const slices = desiredSlices({ service, pods: [both], node: () => undefined });
    expect(slices.map((s) => [s.addressType, s.endpoints[0]?.addresses])).toEqual([
      ['IPv4', ['10.0.0.1']],
      ['IPv6', ['fd00::1']],
    ]);
    const none = desiredSlices({ service, pods: [], node: () => undefined });
    expect(none).toEqual([
      { addressType: 'IPv4', ports: [], endpoints: [] },
      { addressType: 'IPv6', ports: [], endpoints: [] },
    ]);
  });
});

describe('topology hints', () => {
  const slice = (...zones: (string | undefined)[]): DesiredSlice => ({
    addressType: 'IPv4',
    ports: http,
    endpoints: zones.map((zone, i) => ({
      addresses: [`10.0.0.${i}`],
      conditions: { ready: true },
      ...(zone === undefined ? {} : { zone }),
    })),
  });
  const node = (zone: string | undefined, cpu = '4'): Node => ({
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: `n-${zone}`,
      labels: zone === undefined ? {} : { 'topology.kubernetes.io/zone': zone },
    },
    spec: {},
    status: { allocatable: { cpu }, conditions: [{ type: 'Ready', status: 'True' }] },
  });
  const hints = (slices: readonly DesiredSlice[]): string[] =>
    slices.flatMap((s) => s.endpoints.map((e) => e.hints?.forZones?.map((z) => z.name).join() ?? '-'));
  const auto = {
    ...makeService('s'),
    metadata: { name: 's', namespace: 'ns', annotations: { 'service.kubernetes.io/topology-mode': 'Auto' } },
  };

  it('are not there unless somebody asks', () => {
    const slices = [slice('a', 'b')];
    expect(withHints(slices, makeService('s'), [node('a'), node('b')])).toBe(slices);
  });

  it("name each ready endpoint's own zone with PreferClose", () => {
    const close = makeService('s', { trafficDistribution: 'PreferClose' });
    expect(hints(withHints([slice('a', 'b', undefined)], close, []))).toEqual(['a', 'b', '-']);
    const [first] = slice('a').endpoints;
    const unready = {
      ...slice('a'),
      endpoints: [{ ...first, addresses: ['10.0.0.9'], conditions: { ready: false } }],
    };
    expect(hints(withHints([unready], close, []))).toEqual(['-']);
  });

  it('share endpoints out by CPU with mode Auto, moving them where there are too few', () => {
    const nodes = [node('a'), node('b')];
    expect(hints(withHints([slice('a', 'a', 'b', 'b')], auto, nodes))).toEqual(['a', 'a', 'b', 'b']);
    const moved = hints(withHints([slice('a', 'a', 'a', 'a')], auto, nodes));
    expect(moved.filter((zone) => zone === 'b')).toHaveLength(2);
    const uneven = hints(withHints([slice('a', 'a', 'a', 'a')], auto, [node('a', '12'), node('b', '4')]));
    expect(uneven.filter((zone) => zone === 'b')).toHaveLength(1);
  });

  it('are left out in mode Auto when a fair share is impossible', () => {
    const none = (endpoints: DesiredSlice, nodes: Node[]): void =>
      expect(new Set(hints(withHints([endpoints], auto, nodes)))).toEqual(new Set(['-']));
    none(slice('a'), [node('a'), node('b')]);
    none(slice('a', 'a'), [node('a')]);
    none(slice('a', 'a'), [node('a'), node(undefined)]);
    none(slice('a', undefined, 'b'), [node('a'), node('b')]);
  });
});
