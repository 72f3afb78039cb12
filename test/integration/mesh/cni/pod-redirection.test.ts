import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { defaultProbeAddresses, type PodRuleOptions } from '#mesh/cni/redirection/pod-rules.js';
import { PodRedirection } from '#mesh/cni/redirection/pod-redirection.js';
import { isRoot, makeNetns, type TestNetns } from './test-netns.js';

const options: PodRuleOptions = {
  probes: defaultProbeAddresses,
  dnsCapture: false,
  bypassInbound: false,
  virtualInterfaces: [],
};

/** Upstream's IPv4 rules with DNS capture, in the words of iptables-save. */
const documented = [
  'mangle: -A PREROUTING -j ISTIO_PRERT',
  'mangle: -A OUTPUT -j ISTIO_OUTPUT',
  'mangle: -A ISTIO_OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff',
  'mangle: -A ISTIO_PRERT -m mark --mark 0x539/0xfff -j CONNMARK --set-xmark 0x111/0xfff',
  'nat: -A PREROUTING -j ISTIO_PRERT',
  'nat: -A OUTPUT -j ISTIO_OUTPUT',
  'nat: -A ISTIO_OUTPUT -d 169.254.7.127/32 -p tcp -m tcp -j ACCEPT',
  'nat: -A ISTIO_OUTPUT ! -o lo -p udp -m mark ! --mark 0x539/0xfff -m udp --dport 53 -j REDIRECT --to-ports 15053',
  'nat: -A ISTIO_OUTPUT ! -d 127.0.0.1/32 -p tcp -m tcp --dport 53 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15053',
  'nat: -A ISTIO_OUTPUT -p tcp -m mark --mark 0x111/0xfff -j ACCEPT',
  'nat: -A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -j ACCEPT',
  'nat: -A ISTIO_OUTPUT ! -d 127.0.0.1/32 -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001',
  'nat: -A ISTIO_PRERT -s 169.254.7.127/32 -p tcp -m tcp -j ACCEPT',
  'nat: -A ISTIO_PRERT ! -d 127.0.0.1/32 -p tcp -m tcp ! --dport 15008 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006',
  'raw: -A PREROUTING -j ISTIO_PRERT',
  'raw: -A OUTPUT -j ISTIO_OUTPUT',
  'raw: -A ISTIO_OUTPUT -p udp -m mark --mark 0x539/0xfff -m udp --dport 53 -j CT --zone 1',
  'raw: -A ISTIO_PRERT -p udp -m mark ! --mark 0x539/0xfff -m udp --sport 53 -j CT --zone 1',
];

describe.runIf(isRoot)('redirection in a pod namespace', () => {
  let pod: TestNetns;
  let lockDir: string;

  beforeEach(() => {
    pod = makeNetns();
    lockDir = mkdtempSync(join(tmpdir(), 'cni-lock-'));
  });
  afterEach(() => {
    pod.remove();
    rmSync(lockDir, { recursive: true });
  });

  for (const backend of ['nft', 'legacy'] as const) {
    describe(`with iptables ${backend}`, () => {
      const redirection = () => new PodRedirection({ backend, ipv6: true, lockDir });

      it('writes the documented rules in order, for both families', async () => {
        await redirection().apply(pod.handle.fd, { ...options, dnsCapture: true });
        expect(rulesOf(pod, `iptables-${backend}-save`)).toEqual(documented);
        expect(rulesOf(pod, `ip6tables-${backend}-save`)).toHaveLength(
          rulesOf(pod, `iptables-${backend}-save`).length,
        );
        expect(pod.exec('ip', 'rule')).toContain('32764:\tfrom all fwmark 0x111/0xfff lookup 100');
        expect(pod.exec('ip', '-6', 'rule')).toContain('32764:\tfrom all fwmark 0x111/0xfff lookup 100');
        expect(pod.exec('ip', 'route', 'show', 'table', '100')).toContain('local default dev lo scope host');
        expect(pod.exec('ip', '-6', 'route', 'show', 'table', '100')).toContain('local default dev lo');
      });

      it('finds its own work complete and changes nothing the second time', async () => {
        for (const variant of [
          options,
          { ...options, dnsCapture: true, bypassInbound: true, virtualInterfaces: ['tap0', 'veth.1'] },
        ]) {
          await redirection().apply(pod.handle.fd, variant);
          expect(await redirection().apply(pod.handle.fd, variant)).toMatchObject({
            missing: [],
            unexpected: [],
          });
          expect(await redirection().inspect(pod.handle.fd, variant)).toMatchObject({
            missing: [],
            unexpected: [],
          });
        }
      });

      it('puts back a deleted rule, a rule out of order and a deleted route, and nothing else', async () => {
        const r = redirection();
        await r.apply(pod.handle.fd, options);
        const before = rulesOf(pod, `iptables-${backend}-save`);
        pod.exec(`iptables-${backend}`, '-t', 'nat', '-D', 'ISTIO_OUTPUT', '4');
        pod.exec(`iptables-${backend}`, '-t', 'nat', '-I', 'ISTIO_PRERT', '1', '-j', 'ACCEPT');
        pod.exec('ip', 'route', 'flush', 'table', '100');
        pod.exec('ip', '-6', 'rule', 'del', 'priority', '32764');
        const state = await r.inspect(pod.handle.fd, options);
        expect(state.missing).toHaveLength(3);
        expect(state.missing.join('\n')).toMatch(/REDIRECT --to-ports 15001/);
        expect(state.unexpected).toEqual(['v4: -t nat -A ISTIO_PRERT -j ACCEPT']);
        await r.apply(pod.handle.fd, options);
        expect(rulesOf(pod, `iptables-${backend}-save`)).toEqual(before);
        expect((await r.inspect(pod.handle.fd, options)).missing).toEqual([]);
      });

      it('goes before rules of others that end the way of packets, and before no others', async () => {
        const r = redirection();
        const nat = (...args: string[]) => pod.exec(`iptables-${backend}`, '-t', 'nat', ...args);
        nat('-A', 'OUTPUT', '-p', 'tcp', '-j', 'ACCEPT');
        await r.apply(pod.handle.fd, options);
        expect(await r.inspect(pod.handle.fd, options)).toMatchObject({ ahead: [], missing: [] });
        nat('-I', 'OUTPUT', '1', '-p', 'tcp', '-j', 'MARK', '--set-mark', '7');
        expect((await r.inspect(pod.handle.fd, options)).ahead).toEqual([]);
        nat('-N', 'THEIRS');
        nat('-A', 'THEIRS', '-p', 'tcp', '-j', 'ACCEPT');
        nat('-I', 'PREROUTING', '1', '-j', 'THEIRS');
        nat('-I', 'OUTPUT', '1', '-j', 'ACCEPT');
        expect(await r.inspect(pod.handle.fd, options)).toMatchObject({
          ahead: ['v4: -t nat -A PREROUTING -j THEIRS', 'v4: -t nat -A OUTPUT -j ACCEPT'],
          missing: [],
          unexpected: [],
        });
        await r.apply(pod.handle.fd, options);
        expect(rulesOf(pod, `iptables-${backend}-save`).filter((line) => / -A OUTPUT /.test(line))).toEqual([
          'mangle: -A OUTPUT -j ISTIO_OUTPUT',
          'nat: -A OUTPUT -j ISTIO_OUTPUT',
          'nat: -A OUTPUT -j ACCEPT',
          expect.stringContaining('-j MARK'),
          'nat: -A OUTPUT -p tcp -j ACCEPT',
        ]);
        expect(await r.inspect(pod.handle.fd, options)).toMatchObject({ ahead: [], immovable: [] });
      });

      it('tells of rules that defeat ours wherever they stand', async () => {
        const r = redirection();
        await r.apply(pod.handle.fd, options);
        pod.exec(`iptables-${backend}`, '-t', 'raw', '-A', 'OUTPUT', '-p', 'tcp', '-j', 'CT', '--notrack');
        pod.exec(`iptables-${backend}`, '-t', 'raw', '-A', 'OUTPUT', '-p', 'icmp', '-j', 'CT', '--notrack');
        pod.exec(`iptables-${backend}`, '-t', 'mangle', '-A', 'OUTPUT', '-j', 'MARK', '--set-mark', '0x539');
        expect(new Set((await r.inspect(pod.handle.fd, options)).immovable)).toEqual(
          new Set([
            expect.stringMatching(/^v4: -t raw -A OUTPUT -p tcp -j (CT --notrack|NOTRACK)$/),
            expect.stringMatching(/^v4: -t mangle -A OUTPUT -j MARK --set-xmark 0x539/),
          ]),
        );
      });

      it('leaves rules of others alone and removes every trace of its own', async () => {
        const r = redirection();
        pod.exec(`iptables-${backend}`, '-t', 'nat', '-A', 'OUTPUT', '-p', 'udp', '-j', 'ACCEPT');
        pod.exec(`iptables-${backend}`, '-t', 'filter', '-N', 'THEIRS');
        const before = pod.exec(`iptables-${backend}-save`);
        await r.apply(pod.handle.fd, { ...options, dnsCapture: true });
        expect(await r.leftovers(pod.handle.fd)).not.toEqual([]);
        await r.remove(pod.handle.fd);
        expect(await r.leftovers(pod.handle.fd)).toEqual([]);
        expect(rulesOf(pod, `iptables-${backend}-save`)).toEqual(rulesIn(before));
        expect(pod.exec('ip', 'rule')).not.toContain('0x111');
        expect(pod.exec('ip', '-6', 'rule')).not.toContain('0x111');
        await r.remove(pod.handle.fd);
      });

      it('follows a change of the pod settings without leftovers', async () => {
        const r = redirection();
        await r.apply(pod.handle.fd, { ...options, dnsCapture: true, virtualInterfaces: ['tap0'] });
        await r.apply(pod.handle.fd, options);
        expect(
          rulesOf(pod, `iptables-${backend}-save`).filter((line) => /15053|-j CT|tap0/.test(line)),
        ).toEqual([]);
        expect(await r.inspect(pod.handle.fd, options)).toMatchObject({ missing: [], unexpected: [] });
      });
    });
  }

  it('captures IPv4 only where the node has no IPv6', async () => {
    const r = new PodRedirection({ backend: 'nft', ipv6: false, lockDir });
    await r.apply(pod.handle.fd, options);
    expect(rulesOf(pod, 'ip6tables-nft-save')).toEqual([]);
  });

  it('says which addresses go past the proxy where IPv6 is not captured', async () => {
    pod.exec('ip', 'link', 'add', 'eth0', 'type', 'bridge');
    pod.exec('ip', 'link', 'set', 'eth0', 'up');
    pod.exec('ip', 'addr', 'add', 'fd00::7/64', 'dev', 'eth0', 'nodad');
    const uncaptured = (ipv6: boolean): readonly string[] =>
      new PodRedirection({ backend: 'nft', ipv6, lockDir }).uncaptured(pod.handle.fd);
    expect(uncaptured(false)).toEqual(['fd00::7']);
    expect(uncaptured(true)).toEqual([]);
    pod.exec('ip', 'addr', 'del', 'fd00::7/64', 'dev', 'eth0');
    expect(uncaptured(false)).toEqual([]);
  });

  it('skips the IPv6 route where lo has IPv6 switched off', async () => {
    pod.exec('sysctl', '-qw', 'net.ipv6.conf.lo.disable_ipv6=1');
    const r = new PodRedirection({ backend: 'nft', ipv6: true, lockDir });
    await r.apply(pod.handle.fd, options);
    expect((await r.inspect(pod.handle.fd, options)).missing).toEqual([]);
  });
});

function rulesOf(pod: TestNetns, save: string): string[] {
  return rulesIn(pod.exec(save));
}

/** Rules as `table: rule`, tables in alphabetical order: the two backends list them differently. */
function rulesIn(text: string): string[] {
  let table = '';
  const rules: [string, string][] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('*')) table = line.slice(1);
    if (line.startsWith('-A ')) rules.push([table, line]);
  }
  return ['filter', 'mangle', 'nat', 'raw'].flatMap((name) =>
    rules.filter(([of]) => of === name).map(([, rule]) => `${name}: ${rule}`),
  );
}
