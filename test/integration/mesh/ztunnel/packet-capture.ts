import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { runInNetns } from '#base/system/netns.js';

/** What went over the bridge between start() and stop(). */
export interface Captured {
  /** Packet contents, readable characters only. */
  readonly text: string;
  /** TCP destination ports seen. */
  readonly ports: readonly number[];
}

/** tcpdump on the lab's bridge. */
export class PacketCapture {
  private output = '';

  private constructor(private readonly child: ChildProcess) {
    child.stdout?.setEncoding('latin1').on('data', (chunk: string) => {
      this.output += chunk;
    });
  }

  static async start(netns: number): Promise<PacketCapture> {
    const { child } = runInNetns(netns, () => ({
      child: spawn('tcpdump', ['-i', 'br0', '-n', '-A', '-s', '0', '-U', '--immediate-mode', 'tcp'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    }));
    const capture = new PacketCapture(child);
    let errors = '';
    for await (const chunk of child.stderr ?? []) {
      errors += String(chunk);
      if (errors.includes('listening on')) break;
    }
    return capture;
  }

  async stop(): Promise<Captured> {
    const closed = once(this.child, 'close');
    this.child.kill('SIGINT');
    await closed;
    const ports = new Set<number>();
    for (const [, port] of this.output.matchAll(/ > [\d.]+\.(\d+): Flags/g)) ports.add(Number(port));
    return { text: this.output, ports: [...ports] };
  }
}
