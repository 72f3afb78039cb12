import { describe, expect, it } from 'vitest';
import type { IpFamily } from '#base/net/address.js';
import { directionsOf, type NetworkPolicy } from '#base/kube/network-policy.js';
import { policyRules } from '#sandbox/cluster/network-policy/policy-rules.js';
import {
  blockEntries,
  policyPod,
  type PodSetSpec,
  type PolicyPod,
  setName,
} from '#sandbox/cluster/network-policy/pod-set.js';
import { PodSetIndex } from '#sandbox/cluster/network-policy/pod-set-index.js';
import { makePod } from './objects.js';

function policy(spec: NetworkPolicy['spec'], name = 'p'): NetworkPolicy {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name, namespace: 'ns' },
    ...(spec === undefined ? {} : { spec }),
  };
}

/** The rules of one direction of namespace `ns`, without the last one. */
function allowed(policies: NetworkPolicy[], direction: 'I' | 'E', family: IpFamily = 'IPv4'): string[] {
  const { table } = policyRules(policies, family);
  const [, rules = []] = [...table.chains].find(([name]) => name.startsWith(`NETPOL-${direction}-`)) ?? [];
  expect(rules.slice(-1)).toEqual(rules.length === 0 ? [] : ['-j DROP']);
  return rules.slice(0, -1);
}

const web = { matchLabels: { app: 'web' } };

describe('policy types', () => {
  it('are inferred: ingress always, egress when there are egress rules', () => {
    const types = (spec: NetworkPolicy['spec']): string =>
      Object.entries(directionsOf(policy(spec)))
        .flatMap(([name, direction]) => (direction === undefined ? [] : [name]))
        .join();
    expect(types({ podSelector: {} })).toBe('ingress');
    expect(types({ podSelector: {}, egress: [] })).toBe('ingress');
    expect(types({ podSelector: {}, egress: [{}] })).toBe('ingress,egress');
    expect(types({ podSelector: {}, policyTypes: ['Egress'], ingress: [{}] })).toBe('egress');
  });
});

describe('policy rules', () => {
  it('are none without policies', () => {
    expect(policyRules([], 'IPv4')).toMatchObject({
      table: { jumps: [], chains: new Map() },
      sets: new Map(),
    });
  });

  it('deny all and allow all', () => {
    expect(allowed([policy({ podSelector: {}, policyTypes: ['Ingress'] })], 'I')).toEqual([]);
    const [rule, ...rest] = allowed([policy({ podSelector: {}, ingress: [{}] })], 'I');
    expect(rest).toEqual([]);
    expect(rule).toMatch(/^-m set --match-set netpol-v4-\w+ dst -m comment --comment "ns\/p" -j RETURN$/);
  });

  it('are one per peer and port; ports may be ranges, any number, or of other protocols', () => {
    const rules = allowed(
      [
        policy({
          podSelector: web,
          policyTypes: ['Egress'],
          egress: [
            {
              to: [{ podSelector: web }, { ipBlock: { cidr: '10.0.0.0/8' } }],
              ports: [
                { port: 80 },
                { port: 8000, endPort: 8080 },
                { protocol: 'UDP' },
                { port: 5, protocol: 'SCTP' },
              ],
            },
          ],
        }),
      ],
      'E',
    );
    expect(rules).toHaveLength(8);
    expect(rules[0]).toMatch(
      /^-m set --match-set \S+ src -m set --match-set \S+ dst -p tcp -m tcp --dport 80 /,
    );
    expect(rules[1]).toContain('--dport 8000:8080');
    expect(rules[2]).toMatch(/ -p udp -m comment/);
    expect(rules[3]).toContain('-p sctp -m multiport --dports 5');
  });

  it('look named ports up at the receiving end', () => {
    const ports = [{ port: 'http' }];
    const sets = (spec: NetworkPolicy['spec']): PodSetSpec[] =>
      [...policyRules([policy(spec)], 'IPv4').sets.values()].filter(
        (set): set is PodSetSpec => set.kind === 'pods' && set.entry === 'port',
      );
    expect(sets({ podSelector: web, ingress: [{ ports }] })).toMatchObject([
      {
        isLocal: true,
        anyOf: [{ namespace: 'ns', podSelector: web }],
        port: { name: 'http', protocol: 'TCP' },
      },
    ]);
    const db = { matchLabels: { app: 'db' } };
    expect(
      sets({ podSelector: web, policyTypes: ['Egress'], egress: [{ ports, to: [{ podSelector: db }] }] }),
    ).toMatchObject([{ isLocal: false, anyOf: [{ namespace: 'ns', podSelector: db }] }]);
  });

  it('leave out peers that can match nothing rather than match everybody', () => {
    const from = [{}, { ipBlock: { cidr: 'nonsense' } }, { ipBlock: { cidr: '10.0.0.0/8', except: ['x'] } }];
    expect(allowed([policy({ podSelector: {}, ingress: [{ from }] })], 'I')).toEqual([]);
  });

  it('share sets between policies and isolate by namespace', () => {
    const two = ['a', 'b'].map((name) =>
      policy({ podSelector: web, ingress: [{ from: [{ podSelector: web }] }] }, name),
    );
    const { table, sets, isolating } = policyRules(two, 'IPv4');
    // Subjects, peers, and the isolated pods of the namespace.
    expect([sets.size, isolating.size]).toEqual([3, 1]);
    const forward = table.chains.get('NETPOL-FORWARD') ?? [];
    expect(forward).toHaveLength(4);
    expect(forward[0]).toContain('--ctdir REPLY -j RETURN');
    // A pod may always reach itself.
    expect(forward[2]).toMatch(/^-m connmark --mark .* -j RETURN$/);
  });

  it('keep names within what iptables and ipset take', () => {
    const long = policy({ podSelector: {} }, 'n'.repeat(253));
    const { table, sets } = policyRules([{ ...long, spec: { podSelector: {}, ingress: [{}] } }], 'IPv6');
    for (const chain of table.chains.keys()) expect(chain.length).toBeLessThanOrEqual(28);
    for (const name of sets.keys()) expect(`${name}-n`.length).toBeLessThanOrEqual(31);
    for (const rule of [...table.chains.values()].flat())
      expect(/--comment "([^"]*)"/.exec(rule)?.[1]?.length ?? 0).toBeLessThanOrEqual(256);
  });
});

describe('sets', () => {
  it('hold networks with holes, per family, and everything as two halves', () => {
    const block = { kind: 'block', cidr: '0.0.0.0/0', except: ['10.1.0.0/16', 'fd00::/8'] } as const;
    expect(blockEntries(block, 'IPv4')).toEqual(['0.0.0.0/1', '128.0.0.0/1', '10.1.0.0/16 nomatch']);
    expect(blockEntries(block, 'IPv6')).toEqual([]);
    expect(blockEntries({ kind: 'block', cidr: '::/0', except: [] }, 'IPv6')).toEqual(['::/1', '8000::/1']);
  });

  it('are named by content, whatever the order of keys', () => {
    const a: PodSetSpec = { kind: 'pods', entry: 'address', isLocal: true, anyOf: [{ podSelector: web }] };
    const b: PodSetSpec = { anyOf: [{ podSelector: web }], isLocal: true, entry: 'address', kind: 'pods' };
    expect(setName(a, 'IPv4')).toBe(setName(b, 'IPv4'));
    expect(setName(a, 'IPv4')).not.toBe(setName({ ...a, isLocal: false }, 'IPv4'));
  });

  it('know no pod without its own network, and none that has ended', () => {
    const ips = ['10.0.0.2'];
    expect(policyPod(makePod({ name: 'a' }), ips)).toMatchObject({ uid: 'uid-a', ips });
    expect(policyPod(makePod({ spec: { hostNetwork: true } }), ips)).toBeUndefined();
    expect(policyPod(makePod({ phase: 'Succeeded' }), ips)).toBeUndefined();
    expect(policyPod(makePod({}), [])).toBeUndefined();
  });
});

describe('the index', () => {
  const pod = (uid: string, o: Partial<PolicyPod> = {}): PolicyPod => ({
    uid,
    namespace: 'ns',
    labels: { app: 'web' },
    node: 'node-1',
    ips: [`10.0.0.${uid}`, `fd00::${uid}`],
    ports: [],
    ...o,
  });
  const webs: PodSetSpec = {
    kind: 'pods',
    entry: 'address',
    isLocal: false,
    anyOf: [{ namespace: 'ns', podSelector: web }],
  };

  it('follows pods in and out, by family and by node', () => {
    const index = new PodSetIndex();
    index.setPod('1', pod('1'));
    index.hold(webs);
    index.setPod('2', pod('2', { node: 'node-2' }));
    expect(index.entries(webs, 'IPv4', 'node-1').sort()).toEqual(['10.0.0.1', '10.0.0.2']);
    expect(index.entries(webs, 'IPv6', 'node-1').sort()).toEqual(['fd00::1', 'fd00::2']);
    const local = { ...webs, isLocal: true };
    index.hold(local);
    expect(index.entries(local, 'IPv4', 'node-2')).toEqual(['10.0.0.2']);
    const before = index.version(webs);
    expect(index.setPod('3', pod('3', { labels: { app: 'db' } }))).toBe(false);
    expect(index.setPod('2', pod('2', { node: 'node-2' }))).toBe(false);
    expect(index.version(webs)).toBe(before);
    expect(index.setPod('1', pod('1', { labels: {} }))).toBe(true);
    expect(index.setPod('2', undefined)).toBe(true);
    expect(index.entries(webs, 'IPv4', 'node-1')).toEqual([]);
    expect(index.version(webs)).toBeGreaterThan(before);
  });

  it("follows namespaces' labels", () => {
    const trusted: PodSetSpec = {
      ...webs,
      anyOf: [{ namespaceSelector: { matchLabels: { trust: 'yes' } }, podSelector: {} }],
    };
    const index = new PodSetIndex();
    index.hold(trusted);
    index.setPod('1', pod('1'));
    expect(index.entries(trusted, 'IPv4', '')).toEqual([]);
    expect(index.setNamespace('ns', { trust: 'yes' })).toBe(true);
    expect(index.entries(trusted, 'IPv4', '')).toEqual(['10.0.0.1']);
    index.setNamespace('ns', undefined);
    expect(index.entries(trusted, 'IPv4', '')).toEqual([]);
  });

  it('names ports with their protocol', () => {
    const http: PodSetSpec = { ...webs, entry: 'port', port: { name: 'http', protocol: 'TCP' } };
    const index = new PodSetIndex();
    index.hold(http);
    index.setPod('1', pod('1', { ports: [{ name: 'http', protocol: 'TCP', port: 8080 }] }));
    index.setPod('2', pod('2', { ports: [{ name: 'http', protocol: 'UDP', port: 9 }] }));
    expect(index.entries(http, 'IPv4', '')).toEqual(['10.0.0.1,tcp:8080']);
    expect(index.entries(http, 'IPv6', '')).toEqual(['fd00::1,tcp:8080']);
    index.release(http);
    expect(index.entries(http, 'IPv4', '')).toEqual([]);
  });
});
