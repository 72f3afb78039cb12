import { createServer, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { connectTcp, listenTcp } from '#base/system/socket.js';
import { setLogOutput } from '#base/telemetry/log.js';
import { TestAgent } from './test-agent.js';
import { TestCluster } from './test-cluster.js';
import { eventually, isRoot, joinPtp, makeNetns, type TestNetns } from './test-netns.js';
import { TestZtunnel } from './test-ztunnel.js';

const podIp = '10.9.0.2';
const peerIp = '10.9.0.3';
const hostIp = '10.9.0.1';
const connectMaxMs = 10_000;
/** Attempts per direction before, during and after a change. */
const callsBefore = 20;

/** One direction of traffic: a new connection as soon as the last one was answered. */
class Caller {
  readonly answers: string[] = [];
  readonly failures: string[] = [];
  #isStopped = false;
  readonly #done: Promise<void>;

  constructor(from: TestNetns, to: string) {
    this.#done = this.#run(from, to);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#done;
  }

  async #run(from: TestNetns, to: string): Promise<void> {
    while (!this.#isStopped) {
      try {
        const socket = await open(from, to);
        socket.write('hello\n');
        this.answers.push(await answerOf(socket));
        socket.destroy();
      } catch (error) {
        this.failures.push(String(error));
      }
    }
  }
}

describe.runIf(isRoot)('enrollment under traffic', () => {
  let cluster: TestCluster;
  let host: TestNetns;
  let pod: TestNetns;
  let peer: TestNetns;
  let agent: TestAgent;
  let ztunnel: TestZtunnel;
  const servers = new Set<Server>();
  const accepted = new Map<Server, Set<Socket>>();
  const callers: Caller[] = [];

  beforeEach(async () => {
    setLogOutput(() => undefined);
    cluster = await TestCluster.start();
    await cluster.daemonSet();
    await cluster.namespace('demo');
    host = makeNetns();
    pod = makeNetns();
    peer = makeNetns();
    joinPtp(host, pod, { podIp, hostIp });
    joinPtp(host, peer, { podIp: peerIp, hostIp });
    agent = new TestAgent(cluster, host);
    agent.mountNetns(pod);
    await cluster.pod('demo', 'app', [podIp]);
    await serve(pod, 8080, 'app');
    await serve(peer, 8080, 'peer');
    ztunnel = new TestZtunnel();
    const proxies: Server[] = [];
    ztunnel.answer = async (seen) => {
      if (seen.startsWith('add') && proxies.length === 0) {
        proxies.push(await serve(pod, 15001, 'outbound'), await serve(pod, 15006, 'inbound'));
      }
      // As a real proxy: accepts nothing new, ends what is open.
      if (seen.startsWith('del')) {
        for (const proxy of proxies.splice(0)) {
          proxy.close();
          for (const socket of accepted.get(proxy) ?? []) socket.destroy();
        }
      }
      return '';
    };
    await agent.start();
    await ztunnel.connect(agent.zdsPath);
    await eventually(async () => (await agent.enrollment()).ztunnel.connected);
  });
  afterEach(async () => {
    await Promise.all(callers.splice(0).map((caller) => caller.stop()));
    for (const server of servers) server.close();
    for (const sockets of accepted.values()) for (const socket of sockets) socket.destroy();
    servers.clear();
    accepted.clear();
    ztunnel.close();
    await agent.dispose();
    await cluster.stop();
    for (const netns of [pod, peer, host]) netns.remove();
  });

  async function serve(netns: TestNetns, port: number, name: string): Promise<Server> {
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
      socket.once('data', () => socket.end(`${name}\n`));
    });
    servers.add(server);
    accepted.set(server, sockets);
    const fd = listenTcp({ netns: netns.handle.fd, host: '0.0.0.0', port, backlog: 128 });
    await new Promise<void>((resolve) => server.listen({ fd }, resolve));
    return server;
  }

  it('fails no new connection on the way in or out of the mesh, and leaves no captured one hanging', async () => {
    const outgoing = new Caller(pod, peerIp);
    const incoming = new Caller(peer, podIp);
    callers.push(outgoing, incoming);
    const both = [outgoing, incoming];
    const progressed = () => {
      const from = both.map((caller) => caller.answers.length);
      return eventually(() =>
        both.every((caller, i) => caller.answers.length > (from[i] ?? 0) + callsBefore),
      );
    };
    await progressed();
    await cluster.label('demo', 'ambient');
    await eventually(async () => (await cluster.annotation('demo', 'app')) === 'enabled');
    await progressed();
    // They say nothing and wait: what ends them must reach them as the addresses they know.
    const idle = await Promise.all([open(pod, peerIp), open(peer, podIp)]);
    const ends = idle.map((socket) => endOf(socket));
    await cluster.label('demo', null);
    await eventually(async () => (await agent.enrollment('?namespace=demo')).pods[0]?.state === 'none');
    await progressed();
    await Promise.all([...ends, ...both.map((caller) => caller.stop())]);

    expect(both.flatMap((caller) => caller.failures)).toEqual([]);
    expect(phases(outgoing.answers)).toEqual(['peer', 'outbound', 'peer']);
    expect(phases(incoming.answers)).toEqual(['app', 'inbound', 'app']);
  });
});

/** The sequence without repetitions. */
function phases(answers: readonly string[]): string[] {
  return answers.filter((answer, i) => answer !== answers[i - 1]);
}

function open(from: TestNetns, to: string): Promise<Socket> {
  return connectTcp({ netns: from.handle.fd, host: to, port: 8080, timeoutMs: connectMaxMs });
}

/** Resolves when the other side has ended the connection, however it did. */
function endOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on('error', () => undefined).once('close', () => resolve());
    socket.once('end', () => socket.destroy()).resume();
  });
}

function answerOf(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    socket.on('data', (chunk) => (text += String(chunk)));
    socket.on('error', reject);
    socket.on('end', () =>
      text === '' ? reject(new Error('closed without an answer')) : resolve(text.trim()),
    );
  });
}
