import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { openNetns } from '#base/system/netns.js';
import { run } from '#base/system/run.js';
import { connectTcp, listenTcp } from '#base/system/socket.js';

const probe = '169.254.7.127';

/** The redirection of an enrolled pod as upstream lays it out, IPv4, without DNS capture. */
const captureRules = `*mangle
:ISTIO_PRERT - [0:0]
:ISTIO_OUTPUT - [0:0]
-A PREROUTING -j ISTIO_PRERT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_PRERT -m mark --mark 0x539/0xfff -j CONNMARK --set-xmark 0x111/0xfff
-A ISTIO_OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
COMMIT
*nat
:ISTIO_PRERT - [0:0]
:ISTIO_OUTPUT - [0:0]
-A PREROUTING -j ISTIO_PRERT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_PRERT -s ${probe}/32 -p tcp -j ACCEPT
-A ISTIO_PRERT ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006
-A ISTIO_OUTPUT -d ${probe}/32 -p tcp -j ACCEPT
-A ISTIO_OUTPUT -p tcp -m mark --mark 0x111/0xfff -j ACCEPT
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -o lo -j ACCEPT
-A ISTIO_OUTPUT ! -d 127.0.0.1/32 -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001
COMMIT
`;

/** One network namespace on the lab's bridge. */
export class Pod {
  private readonly closers: (() => void)[] = [];

  constructor(
    readonly name: string,
    readonly ip: string,
    readonly nsPath: string,
    readonly nsFd: number,
  ) {}

  /** Redirects the pod's traffic to the proxy's ports, as the CNI agent does. */
  async capture(): Promise<void> {
    await this.exec('ip', ['route', 'add', 'local', '0.0.0.0/0', 'dev', 'lo', 'table', '100']);
    await this.exec('ip', ['rule', 'add', 'fwmark', '0x111/0xfff', 'priority', '32764', 'lookup', '100']);
    await this.exec('iptables-restore', ['--noflush'], captureRules);
  }

  async exec(command: string, args: string[], input?: string): Promise<string> {
    return await must(command, args, { netns: this.nsFd, input });
  }

  /** An application of this pod opens a connection. */
  connect(host: string, port: number): Promise<Socket> {
    return connectTcp({ host, port, netns: this.nsFd, timeoutMs: 5_000 });
  }

  /** An application of this pod listens. */
  async serve(port: number, onSocket: (socket: Socket) => void): Promise<void> {
    const fd = listenTcp({ host: '0.0.0.0', port, netns: this.nsFd });
    const sockets = new Set<Socket>();
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.once('close', () => sockets.delete(socket));
      onSocket(socket);
    });
    server.listen({ fd });
    await once(server, 'listening');
    this.closers.push(() => {
      server.close();
      for (const socket of sockets) socket.destroy();
    });
  }

  close(): void {
    for (const closer of this.closers) closer();
    closeSync(this.nsFd);
  }
}

/** Pods as network namespaces on one bridge; removed by close(). */
export class NetworkLab {
  readonly pods: Pod[] = [];

  private constructor(
    private readonly prefix: string,
    readonly fabric: number,
  ) {}

  static async make(): Promise<NetworkLab> {
    const prefix = `lab${process.pid}`;
    await must('ip', ['netns', 'add', `${prefix}-fabric`]);
    const fabric = openNetns(`/var/run/netns/${prefix}-fabric`);
    await must('ip', ['link', 'add', 'br0', 'type', 'bridge'], { netns: fabric });
    await must('ip', ['link', 'set', 'br0', 'up'], { netns: fabric });
    return new NetworkLab(prefix, fabric);
  }

  async addPod(name: string, ip: string): Promise<Pod> {
    const ns = `${this.prefix}-${name}`;
    const host = `v-${name}`;
    await must('ip', ['netns', 'add', ns]);
    const path = `/var/run/netns/${ns}`;
    const fd = openNetns(path);
    const pod = new Pod(name, ip, path, fd);
    this.pods.push(pod);
    await must('ip', ['link', 'add', host, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', ns], {
      netns: this.fabric,
    });
    await must('ip', ['link', 'set', host, 'master', 'br0', 'up'], { netns: this.fabric });
    await pod.exec('ip', ['link', 'set', 'lo', 'up']);
    await pod.exec('ip', ['addr', 'add', `${ip}/16`, 'dev', 'eth0']);
    await pod.exec('ip', ['link', 'set', 'eth0', 'up']);
    await pod.exec('ip', ['route', 'add', 'default', 'via', '10.77.255.254', 'onlink', 'dev', 'eth0']);
    return pod;
  }

  async close(): Promise<void> {
    for (const pod of this.pods) {
      pod.close();
      await run('ip', ['netns', 'del', `${this.prefix}-${pod.name}`]);
    }
    closeSync(this.fabric);
    await run('ip', ['netns', 'del', `${this.prefix}-fabric`]);
  }
}

async function must(
  command: string,
  args: string[],
  o: { netns?: number; input?: string | undefined } = {},
): Promise<string> {
  const result = await run(command, args, o);
  if (result.exitCode !== 0) throw new Error(`${command} ${args.join(' ')}: ${result.stderr}`);
  return result.stdout;
}
