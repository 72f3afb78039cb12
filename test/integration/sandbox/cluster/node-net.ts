import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { openNetns } from '#base/system/netns.js';
import { run } from '#base/system/run.js';
import { bindUdp, closeFd, connectTcp, listenTcp } from '#base/system/socket.js';

/** Addresses of the pods; they hang on the node like a point-to-point plugin's. */
export const podAddresses = {
  a: { v4: '10.244.1.2', v6: 'fd00:10:244:1::2' },
  b: { v4: '10.244.1.3', v6: 'fd00:10:244:1::3' },
  c: { v4: '10.244.1.4', v6: 'fd00:10:244:1::4' },
} as const;
export type PodName = keyof typeof podAddresses;
type Place = PodName | 'node';

export const nodeAddress = { v4: '172.18.0.2', v6: 'fd00:172:18::2' } as const;

/** An address of pod c that is in no pod's network: what comes from there comes from outside. */
export const outsideAddress = '192.0.2.50';

/** A node and three pods in namespaces of their own; each pod says its name to whoever calls port 8080, TCP or UDP. */
export interface NodeNet {
  fd(place: Place): number;
  /** What the server at the other end says; an error code when there is none. */
  call(from: Place, host: string, port: number, o?: { readonly bindHost?: string }): Promise<string>;
  /** A UDP socket in a pod that sends to one place and remembers who answered last. */
  udpClient(from: Place, host: string, port: number): Promise<UdpClient>;
  close(): Promise<void>;
}

export interface UdpClient {
  /** Sends once and resolves to the answer; `none` when there is none within 200 ms. */
  ask(): Promise<string>;
  close(): void;
}

async function ip(...args: string[]): Promise<void> {
  const result = await run('ip', args);
  if (result.exitCode !== 0) throw new Error(`ip ${args.join(' ')}: ${result.stderr}`);
}

/** Makes the namespaces. Needs root. */
export async function makeNodeNet(prefix: string): Promise<NodeNet> {
  const id = `${prefix}${process.pid}`;
  const nodeNs = `${id}-node`;
  const fds = new Map<string, number>();
  const servers: { close(): unknown }[] = [];
  const fd = (place: Place): number => fds.get(place) ?? -1;
  await ip('netns', 'add', nodeNs);
  fds.set('node', openNetns(`/var/run/netns/${nodeNs}`));
  const sysctls = ['ipv4.ip_forward=1', 'ipv6.conf.all.forwarding=1', 'ipv6.conf.default.accept_dad=0'];
  for (const setting of sysctls) await run('sysctl', ['-q', '-w', `net.${setting}`], { netns: fd('node') });
  await ip('-n', nodeNs, 'link', 'set', 'lo', 'up');
  await ip('-n', nodeNs, 'addr', 'add', `${nodeAddress.v4}/32`, 'dev', 'lo');
  await ip('-n', nodeNs, 'addr', 'add', `${nodeAddress.v6}/128`, 'dev', 'lo');
  // A node routes service addresses somewhere; the rules change the destination on the way.
  await ip('-n', nodeNs, 'link', 'add', 'up0', 'type', 'bridge');
  await ip('-n', nodeNs, 'link', 'set', 'up0', 'up');
  for (const family of ['-4', '-6']) await ip('-n', nodeNs, family, 'route', 'add', 'default', 'dev', 'up0');
  for (const [name, { v4, v6 }] of Object.entries(podAddresses)) {
    const ns = `${id}-${name}`;
    await ip('netns', 'add', ns);
    fds.set(name, openNetns(`/var/run/netns/${ns}`));
    await run('sysctl', ['-q', '-w', 'net.ipv6.conf.default.accept_dad=0'], { netns: fd(name as PodName) });
    await ip('-n', nodeNs, 'link', 'add', `v${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns);
    await ip('-n', nodeNs, 'link', 'set', `v${name}`, 'up');
    await ip('-n', ns, 'link', 'set', 'eth0', 'up');
    await ip('-n', ns, 'link', 'set', 'lo', 'up');
    for (const [address, gateway, bits] of [
      [v4, '10.244.1.1', 32],
      [v6, 'fd00:10:244:1::1', 128],
    ] as const) {
      await ip('-n', nodeNs, 'addr', 'add', `${gateway}/${bits}`, 'dev', `v${name}`, ...nodad(bits));
      await ip('-n', nodeNs, 'route', 'add', `${address}/${bits}`, 'dev', `v${name}`);
      await ip('-n', ns, 'addr', 'add', `${address}/${bits}`, 'dev', 'eth0', ...nodad(bits));
      await ip('-n', ns, 'route', 'add', `${gateway}/${bits}`, 'dev', 'eth0');
      await ip('-n', ns, 'route', 'add', 'default', 'via', gateway, 'dev', 'eth0');
    }
    if (name === 'c') {
      await ip('-n', nodeNs, 'route', 'add', `${outsideAddress}/32`, 'dev', `v${name}`);
      await ip('-n', ns, 'addr', 'add', `${outsideAddress}/32`, 'dev', 'eth0');
    }
    servers.push(await tcpServer(name, fd(name as PodName)), await udpServer(name, fd(name as PodName)));
  }
  return {
    fd,
    call: (from, host, port, o = {}) => call({ netns: fd(from), host, port, ...o }),
    udpClient: (from, host, port) => udpClient(fd(from), host, port),
    close: async () => {
      for (const server of servers) server.close();
      for (const each of fds.values()) closeFd(each);
      for (const name of ['node', ...Object.keys(podAddresses)])
        await run('ip', ['netns', 'del', `${id}-${name}`]);
    },
  };
}

function nodad(bits: number): string[] {
  return bits === 128 ? ['nodad'] : [];
}

async function tcpServer(name: string, netns: number): Promise<Server> {
  const server = createServer((socket) => {
    const peer = (socket.remoteAddress ?? '').replace('::ffff:', '');
    socket.on('error', () => socket.destroy());
    socket.end(`${name} ${peer}`);
  });
  server.listen({ fd: listenTcp({ host: '::', port: 8080, netns }) });
  await once(server, 'listening');
  return server;
}

async function udpServer(name: string, netns: number): Promise<UdpSocket> {
  const socket = createSocket('udp6');
  socket.on('message', (_message, from) => socket.send(name, from.port, from.address));
  const bound = once(socket, 'listening');
  socket.bind({ fd: bindUdp({ host: '::', port: 8080, netns }) });
  await bound;
  return socket;
}

async function call(o: {
  readonly netns: number;
  readonly host: string;
  readonly port: number;
  readonly bindHost?: string;
}): Promise<string> {
  let socket: Socket;
  try {
    socket = await connectTcp({ ...o, timeoutMs: 1_000 });
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'error';
  }
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(socket, 'end');
  socket.destroy();
  return text;
}

const answerMs = 200;

async function udpClient(netns: number, host: string, port: number): Promise<UdpClient> {
  const isV6 = host.includes(':');
  const socket = createSocket(isV6 ? 'udp6' : 'udp4');
  socket.on('error', () => undefined); // a refusal: there is no answer then
  const bound = once(socket, 'listening');
  socket.bind({ fd: bindUdp({ host: isV6 ? '::' : '0.0.0.0', port: 0, netns }) });
  await bound;
  return {
    ask: () =>
      new Promise((resolve) => {
        const timer = setTimeout(() => resolve('none'), answerMs);
        socket.once('message', (message) => {
          clearTimeout(timer);
          resolve(message.toString());
        });
        socket.send('?', port, host, () => undefined);
      }),
    close: () => socket.close(),
  };
}
