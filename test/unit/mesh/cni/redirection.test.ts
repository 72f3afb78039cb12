import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { listeningPorts, redirectionIn } from '#mesh/cni/redirection/netns-view.js';
import {
  compareRules,
  defaultProbeAddresses,
  meshRules,
  type PodRuleOptions,
  podRules,
} from '#mesh/cni/redirection/pod-rules.js';
import { parseIpsetSave } from '#mesh/cni/redirection/probe-set.js';
import { restoreInput } from '#mesh/cni/redirection/restore-format.js';
import { canonicalRule } from '#mesh/cni/redirection/rule.js';
import { parseSave } from '#mesh/cni/redirection/save-format.js';

const options: PodRuleOptions = {
  probes: defaultProbeAddresses,
  dnsCapture: true,
  bypassInbound: false,
  virtualInterfaces: [],
};

const anyOptions = fc.record({
  probes: fc.constant(defaultProbeAddresses),
  dnsCapture: fc.boolean(),
  bypassInbound: fc.boolean(),
  virtualInterfaces: fc.uniqueArray(fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/), { maxLength: 3 }),
});

describe('canonicalRule', () => {
  it.each([
    ['-p tcp -m tcp --dport 53 -j ACCEPT', '--protocol tcp --destination-port 53 --jump ACCEPT'],
    ['! -d 127.0.0.1/32 -o lo -j ACCEPT', '-o lo ! --destination 127.0.0.1/32 -j ACCEPT'],
    [
      '-p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 1',
      '-m mark ! --mark 0x539/0xfff -p tcp -j REDIRECT --to-port 1',
    ],
    ['-m comment --comment "uid-1" -j ACCEPT', '-m comment --comment uid-1 -j ACCEPT'],
  ])('finds %s equal to another spelling', (a, b) => {
    expect(canonicalRule(a)).toBe(canonicalRule(b));
  });

  it.each([
    ['-d 127.0.0.1/32 -j ACCEPT', '! -d 127.0.0.1/32 -j ACCEPT'],
    ['-p tcp -j ACCEPT', '-p udp -j ACCEPT'],
    ['-j CONNMARK --set-xmark 0x111/0xfff', '-j CONNMARK --set-xmark 0x112/0xfff'],
  ])('tells %s from %s', (a, b) => {
    expect(canonicalRule(a)).not.toBe(canonicalRule(b));
  });
});

describe('compareRules', () => {
  const observe = (lines: readonly { table: string; chain: string; spec: string }[]) =>
    parseSave(
      ['mangle', 'nat', 'raw']
        .flatMap((table) => [
          `*${table}`,
          ':PREROUTING ACCEPT [0:0]',
          ...lines.filter((rule) => rule.table === table).map((rule) => `-A ${rule.chain} ${rule.spec}`),
          'COMMIT',
        ])
        .join('\n'),
    );

  it('finds nothing to do on what it asked for, whatever the options', () => {
    fc.assert(
      fc.property(anyOptions, fc.constantFrom('v4' as const, 'v6' as const), (o, family) => {
        const rules = podRules(family, o);
        expect(compareRules(rules, observe(rules))).toEqual({ missing: [], unexpected: [] });
      }),
    );
  });

  it('reports each removed rule, and only it', () => {
    const rules = podRules('v4', options);
    fc.assert(
      fc.property(fc.integer({ min: 0, max: rules.length - 1 }), (at) => {
        const delta = compareRules(rules, observe(rules.filter((_, i) => i !== at)));
        expect(delta.missing).toHaveLength(1);
        expect(delta.missing[0]).toContain(rules[at]?.spec);
        expect(delta.unexpected).toEqual([]);
      }),
    );
  });

  it('reports two rules in the wrong order', () => {
    const rules = [...podRules('v4', options)];
    const swapped = rules.toSpliced(rules.length - 1, 1);
    const at = swapped.findIndex((rule) => rule.spec.includes('REDIRECT --to-ports 15001'));
    const [first, second] = [swapped[at - 1], swapped[at]];
    if (first === undefined || second === undefined) throw new Error('the rules have changed');
    swapped.splice(at - 1, 2, second, first);
    expect(compareRules(rules, observe(swapped)).missing.length).toBeGreaterThan(0);
  });

  it('ignores rules of others, but not a rule somebody put into our chains', () => {
    const rules = podRules('v4', options);
    const theirs = { table: 'nat', chain: 'OUTPUT', spec: '-p udp -j ACCEPT' };
    const inside = { table: 'nat', chain: 'ISTIO_OUTPUT', spec: '-j ACCEPT' };
    expect(compareRules(rules, observe([theirs, ...rules]))).toEqual({ missing: [], unexpected: [] });
    expect(compareRules(rules, observe([inside, ...rules])).unexpected).toEqual([
      '-t nat -A ISTIO_OUTPUT -j ACCEPT',
    ]);
  });

  it('does not take the rules of a sidecar for its own', () => {
    const sidecar = parseSave(
      '*nat\n:ISTIO_OUTPUT - [0:0]\n:ISTIO_REDIRECT - [0:0]\n-A OUTPUT -p tcp -j ISTIO_OUTPUT\n-A ISTIO_OUTPUT -j ISTIO_REDIRECT\nCOMMIT\n',
    );
    expect(meshRules(sidecar)).toEqual({ chains: new Set(), rules: [] });
    expect(restoreInput([], sidecar)).toBe('');
  });

  it('leaves inbound traffic alone in ingress mode', () => {
    const text = podRules('v4', { ...options, bypassInbound: true })
      .map((rule) => rule.spec)
      .join('\n');
    expect(text).not.toContain('15006');
    expect(text).toContain('15001');
    expect(text).toContain('CONNMARK');
  });
});

describe('restoreInput', () => {
  it('is empty when there is nothing to write or remove', () => {
    expect(restoreInput([], parseSave('*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n'))).toBe('');
  });

  it('removes our jumps and chains and nothing else', () => {
    const observed = parseSave(
      '*nat\n:OUTPUT ACCEPT [0:0]\n:ISTIO_OUTPUT - [0:0]\n:THEIRS - [0:0]\n[1:60] -A OUTPUT -j ISTIO_OUTPUT\n-A OUTPUT -j THEIRS\n-A ISTIO_OUTPUT -j ACCEPT\nCOMMIT\n',
    );
    expect(restoreInput([], observed)).toBe(
      '*nat\n:ISTIO_OUTPUT - [0:0]\n-D OUTPUT -j ISTIO_OUTPUT\n-X ISTIO_OUTPUT\nCOMMIT\n',
    );
  });
});

describe('what the kernel says', () => {
  it('reads listening ports from /proc/net/tcp', () => {
    const text = [
      '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
      '   0: 00000000:3A99 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0',
      '   1: 0200090A:3A9E 0300090A:8000 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0',
      '   0: 00000000000000000000000000000000:3AA0 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 3 1 0 100 0 0 10 0',
    ].join('\n');
    expect([...listeningPorts(text)]).toEqual([15001, 15008]);
  });

  const client = (state: string) =>
    `   1: 0501F40A:CE96 0402F40A:0009 ${state} 00000000:00000000 00:00000000 00000000     0        0 1 1 0`;
  const proxy =
    '   2: 0501F40A:3A99 0501F40A:CE96 01 00000000:00000000 00:00000000 00000000     0        0 2 1 0';
  it.each([
    ['the proxy has its other end', [`${client('01')}\n${proxy}`, client('01')], true],
    ['the proxy ends it', [client('01'), `${client('08')}\n${proxy}`], true],
    ['it stood a moment ago', [client('01'), ''], undefined],
    ['it is being closed', [client('01'), client('08')], undefined],
    ['it stands, and the proxy has no part in it', [client('01'), client('01')], false],
  ])('tells whether a connection is redirected: %s', (_, looks, wanted) => {
    expect(redirectionIn(looks, 0xce96)).toBe(wanted);
  });

  it('reads ipset entries with their comments', () => {
    const text =
      'create istio-inpod-probes-v4 hash:ip family inet comment\nadd istio-inpod-probes-v4 10.0.0.1 comment "uid-1"\nadd istio-inpod-probes-v4 10.0.0.2\n';
    expect(parseIpsetSave(text)).toEqual([
      { ip: '10.0.0.1', uid: 'uid-1' },
      { ip: '10.0.0.2', uid: '' },
    ]);
  });
});
