import { once } from 'node:events';
import type { NodeHost } from '../host/node-host.js';
import type { PodNamespaces } from '../host/pod-namespaces.js';
import { childrenOf } from '../host/process-tree.js';

/** Pid 1 of a pod's shared process namespace: it does nothing but collect orphans. */
export interface PauseProcess {
  /** As the supervisor sees it. */
  readonly pid: number;
  /** Ends it, and with it every process of the namespace. */
  stop(): void;
}

const script = 'echo ready; exec >/dev/null; while :; do sleep infinity & wait $!; done';
const startTimeoutMs = 10_000;

/** Starts the process; it ends with its node at the latest. */
export async function startPause(host: NodeHost, { net, ipc, uts }: PodNamespaces): Promise<PauseProcess> {
  const child = host.spawn(['unshare', '--pid', '--fork', '--kill-child', 'sh', '-c', script], {
    netns: net,
    ipc,
    uts,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { stdout } = child;
  if (stdout !== null) await once(stdout, 'data', { signal: AbortSignal.timeout(startTimeoutMs) });
  // nsenter -> unshare -> the shell
  const [unshare] = child.pid === undefined ? [] : childrenOf(child.pid);
  const [pid] = unshare === undefined ? [] : childrenOf(unshare);
  stdout?.destroy();
  if (pid === undefined || unshare === undefined) {
    child.kill('SIGKILL');
    throw new Error('the process that holds the shared pid namespace did not start');
  }
  return {
    pid,
    stop: () => {
      try {
        process.kill(unshare, 'SIGKILL');
      } catch {
        // gone already, with its node
      }
    },
  };
}
