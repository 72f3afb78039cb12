import { meshctl } from './meshctl.js';
import { parsePcap, type Segment } from './pcap.js';

export interface CaptureOptions {
  readonly sandbox: string;
  readonly node: string;
  /** Seconds the capture runs; `during` must fit in it. */
  readonly seconds: number;
  readonly during: () => Promise<void>;
  readonly env?: Readonly<Record<string, string>>;
}

/** Traffic between pods, on the wire between the nodes. */
const betweenPods = 'tcp and src net 10.244.0.0/16 and dst net 10.244.0.0/16';

/** Runs tcpdump on a node's uplink while `during` makes traffic; returns the TCP segments seen. */
export async function captureBetweenNodes(o: CaptureOptions): Promise<readonly Segment[]> {
  let onListening: () => void = () => undefined;
  const listening = new Promise<void>((resolve) => {
    onListening = resolve;
  });
  const tcpdump = ['tcpdump', '-Z', 'root', '-i', 'eth0', '-U', '-n', '-s', '0', '-w', '-', betweenPods];
  const capture = meshctl(
    [
      'sandbox',
      'exec',
      '--name',
      o.sandbox,
      o.node,
      '--',
      'timeout',
      '-s',
      'INT',
      String(o.seconds),
      ...tcpdump,
    ],
    {
      onStderr: (text) => {
        if (text.includes('listening on')) onListening();
      },
      ...(o.env === undefined ? {} : { env: o.env }),
    },
  );
  // A capture that cannot start ends by itself; then there is nothing to wait for.
  await Promise.race([listening, capture]);
  await o.during();
  const outcome = await capture;
  if (!outcome.stderr.includes('listening on')) {
    throw new Error(`tcpdump did not start on ${o.node}: ${outcome.stderr.trim()}`);
  }
  return parsePcap(outcome.bytes);
}
