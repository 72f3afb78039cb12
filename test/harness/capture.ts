import type { CommandOptions, CommandOutcome } from './meshctl.js';
import { parsePcap, type Segment } from './pcap.js';

export interface CaptureOptions {
  /** Runs meshctl as the owner of the sandbox. */
  readonly meshctl: (args: readonly string[], o?: CommandOptions) => Promise<CommandOutcome>;
  readonly sandbox: string;
  readonly node: string;
  /** Seconds the capture runs; `during` must fit in it. */
  readonly seconds: number;
  readonly during: () => Promise<void>;
}

/** Captures on a node's uplink while `during` makes traffic; returns the TCP segments between pods. */
export async function captureBetweenNodes(o: CaptureOptions): Promise<readonly Segment[]> {
  let onListening: () => void = () => undefined;
  const listening = new Promise<void>((resolve) => {
    onListening = resolve;
  });
  const capture = o.meshctl(
    ['sandbox', 'capture', '--name', o.sandbox, o.node, '--seconds', String(o.seconds)],
    {
      onStderr: (text) => {
        if (text.includes('listening on')) onListening();
      },
    },
  );
  // A capture that cannot start ends by itself; then there is nothing to wait for.
  await Promise.race([listening, capture]);
  await o.during();
  const outcome = await capture;
  if (outcome.exitCode !== 0) {
    throw new Error(`no complete capture on ${o.node}: ${outcome.stderr.trim()}`);
  }
  const isPod = (address: string) => address.startsWith('10.244.');
  return parsePcap(outcome.bytes).filter((s) => isPod(s.source) && isPod(s.destination));
}
