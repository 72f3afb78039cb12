import { meshctlFolder } from '../node/host/node-host.js';
import { sandboxExec } from './sandbox-exec.js';

export interface SandboxCaptureOptions {
  readonly name: string;
  readonly node: string;
  /** Default `eth0`, the node's uplink: what goes from node to node. */
  readonly interfaceName?: string | undefined;
  /** Default: until interrupted. */
  readonly seconds?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Captures a node's traffic in libpcap format on this process's standard output; resolves to the exit code. */
export function sandboxCapture(o: SandboxCaptureOptions): Promise<number> {
  const seconds = o.seconds === undefined ? [] : [String(o.seconds)];
  return sandboxExec({
    name: o.name,
    node: o.node,
    command: [
      `${meshctlFolder}/node`,
      `${meshctlFolder}/package/bin/sandbox.js`,
      'capture',
      o.interfaceName ?? 'eth0',
      ...seconds,
    ],
    signal: o.signal,
  });
}
