import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { HostProbes } from '#mesh/cni/redirection/host-probes.js';
import { listenersIn } from '#mesh/cni/redirection/netns-view.js';
import { defaultProbeAddresses, type PodRuleOptions } from '#mesh/cni/redirection/pod-rules.js';
import { PodRedirection } from '#mesh/cni/redirection/pod-redirection.js';
import { connectTcp, listenTcp } from '#base/system/socket.js';
import { isRoot, joinPtp, makeNetns, type TestNetns } from './test-netns.js';

const options: PodRuleOptions = {
  probes: defaultProbeAddresses,
  dnsCapture: false,
  bypassInbound: false,
  virtualInterfaces: [],
};
const podIp = '10.9.0.2';
const peerIp = '10.9.0.3';
const hostIp = '10.9.0.1';

/** A node with two pods joined by routes, traffic from all three places; rules of the mesh in `pod`. */
describe.runIf(isRoot)('captured traffic', () => {
  let host: TestNetns;
  let pod: TestNetns;
  let peer: TestNetns;
  let lockDir: string;
  let redirection: PodRedirection;
  const servers: Server[] = [];
  const sockets: Socket[] = [];

  beforeEach(() => {
    lockDir = mkdtempSync(join(tmpdir(), 'cni-lock-'));
    host = makeNetns();
    pod = makeNetns();
    peer = makeNetns();
    joinPtp(host, pod, { podIp, hostIp });
    joinPtp(host, peer, { podIp: peerIp, hostIp });
    redirection = new PodRedirection({ backend: 'nft', ipv6: true, lockDir });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
    for (const netns of [pod, peer, host]) netns.remove();
    rmSync(lockDir, { recursive: true });
  });

  /** Listens in a namespace; answers every line with `NAME REMOTE`. */
  const serve = async (netns: TestNetns, port: number, name: string): Promise<void> => {
    const server = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => undefined);
      socket.on('data', () => socket.write(`${name} ${socket.remoteAddress ?? ''}\n`));
    });
    servers.push(server);
    const fd = listenTcp({ netns: netns.handle.fd, host: '0.0.0.0', port });
    await new Promise<void>((resolve) => server.listen({ fd }, resolve));
  };
  const open = async (netns: TestNetns, to: string, port: number, mark?: number): Promise<Socket> => {
    const socket = await connectTcp({
      netns: netns.handle.fd,
      host: to,
      port,
      timeoutMs: 2_000,
      ...(mark === undefined ? {} : { mark }),
    });
    sockets.push(socket);
    return socket;
  };
  const ask = (socket: Socket): Promise<string> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer')), 2_000);
      socket.once('data', (data) => {
        clearTimeout(timer);
        resolve(String(data).trim());
      });
      socket.once('error', reject);
      socket.once('close', () => reject(new Error('closed')));
      socket.write('?');
    });
  const call = async (netns: TestNetns, to: string, port: number, mark?: number): Promise<string> =>
    ask(await open(netns, to, port, mark));

  it('goes to the proxy on the way out and in, and past it with the proxy mark', async () => {
    await serve(pod, 15001, 'outbound');
    await serve(pod, 15006, 'inbound');
    await serve(pod, 15008, 'hbone');
    await serve(pod, 8080, 'app');
    await serve(peer, 9090, 'peer');
    await redirection.apply(pod.handle.fd, options);
    expect(await call(pod, peerIp, 9090)).toMatch(/^outbound /);
    expect(await call(pod, peerIp, 9090, 1337)).toBe(`peer ${podIp}`);
    expect(await call(peer, podIp, 8080)).toBe(`inbound ${peerIp}`);
    expect(await call(peer, podIp, 15008)).toBe(`hbone ${peerIp}`);
    expect(await call(pod, '127.0.0.1', 8080)).toBe('app 127.0.0.1');
    expect(listenersIn(pod.handle.fd)).toEqual({ '15001': true, '15006': true, '15008': true });
    expect(listenersIn(peer.handle.fd)).toEqual({ '15001': false, '15006': false, '15008': false });
  });

  it('is refused while no proxy listens, and flows again without the rules', async () => {
    await serve(pod, 8080, 'app');
    await serve(peer, 9090, 'peer');
    await redirection.apply(pod.handle.fd, options);
    await expect(call(pod, peerIp, 9090)).rejects.toThrow(/ECONNREFUSED/);
    await expect(call(peer, podIp, 8080)).rejects.toThrow(/ECONNREFUSED/);
    await redirection.remove(pod.handle.fd);
    expect(await call(pod, peerIp, 9090)).toBe(`peer ${podIp}`);
    expect(await call(peer, podIp, 8080)).toBe(`app ${peerIp}`);
  });

  it('does not touch connections that were established before', async () => {
    await serve(pod, 8080, 'app');
    await serve(peer, 9090, 'peer');
    const outbound = await open(pod, peerIp, 9090);
    const inbound = await open(peer, podIp, 8080);
    const idle = await open(pod, peerIp, 9090);
    expect(await ask(outbound)).toBe(`peer ${podIp}`);
    expect(await redirection.spareEstablished(pod.handle.fd)).toBe(true);
    await redirection.apply(pod.handle.fd, options);
    expect(await ask(idle)).toBe(`peer ${podIp}`);
    await expect(call(pod, peerIp, 9090)).rejects.toThrow(/ECONNREFUSED/);
    expect(await ask(outbound)).toBe(`peer ${podIp}`);
    expect(await ask(inbound)).toBe(`app ${peerIp}`);
    expect(await ask(outbound)).toBe(`peer ${podIp}`);
  });

  for (const ipset of [true, false]) {
    it(`lets probes of the node through, ${ipset ? 'with' : 'without'} ipset, and only those`, async () => {
      await serve(pod, 15006, 'inbound');
      await serve(pod, 8080, 'app');
      const probes = new HostProbes({
        target: { backend: 'nft', netns: host.handle.fd, lockFile: join(lockDir, 'host.lock') },
        ipv6: true,
        probes: defaultProbeAddresses,
        ipset,
      });
      await redirection.apply(pod.handle.fd, options);
      expect(await call(host, podIp, 8080)).toBe(`inbound ${hostIp}`);
      await probes.install();
      await probes.add('uid-1', [podIp]);
      expect(await probes.missing()).toEqual([]);
      expect(await call(host, podIp, 8080)).toBe(`app ${defaultProbeAddresses.v4}`);
      expect(await call(peer, podIp, 8080)).toBe(`inbound ${peerIp}`);

      host.exec('iptables-nft', '-t', 'nat', '-F', 'ISTIO_POSTRT');
      expect(await probes.missing()).toHaveLength(1);
      await probes.repair();
      expect(await call(host, podIp, 8080)).toBe(`app ${defaultProbeAddresses.v4}`);

      await probes.remove('uid-of-another-pod', [podIp]);
      expect(await call(host, podIp, 8080)).toBe(`app ${defaultProbeAddresses.v4}`);
      await probes.remove('uid-1', [podIp]);
      expect(await call(host, podIp, 8080)).toBe(`inbound ${hostIp}`);
      await probes.uninstall();
      expect(await probes.leftovers()).toEqual([]);
    });
  }

  it('puts the probe rule before a masquerade rule that is already there', async () => {
    await serve(pod, 15006, 'inbound');
    await serve(pod, 8080, 'app');
    host.exec('iptables-nft', '-t', 'nat', '-A', 'POSTROUTING', '-j', 'MASQUERADE');
    const probes = new HostProbes({
      target: { backend: 'nft', netns: host.handle.fd, lockFile: join(lockDir, 'host.lock') },
      ipv6: false,
      probes: defaultProbeAddresses,
      ipset: true,
    });
    await redirection.apply(pod.handle.fd, options);
    await probes.install();
    await probes.add('uid-1', [podIp]);
    expect(await call(host, podIp, 8080)).toBe(`app ${defaultProbeAddresses.v4}`);
  });

  it('forgets probe entries that a former agent left, and keeps those of its own pods', async () => {
    const make = () =>
      new HostProbes({
        target: { backend: 'nft', netns: host.handle.fd, lockFile: join(lockDir, 'host.lock') },
        ipv6: true,
        probes: defaultProbeAddresses,
        ipset: true,
      });
    const former = make();
    await former.install();
    await former.add('old', ['10.9.9.9']);
    await former.add('stays', [podIp]);
    const next = make();
    await next.install();
    await next.add('stays', [podIp]);
    await next.prune();
    const entries = host.exec('ipset', 'save', 'istio-inpod-probes-v4');
    expect(entries).toContain(podIp);
    expect(entries).not.toContain('10.9.9.9');
  });
});
