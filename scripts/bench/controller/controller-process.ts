// The controller as it runs in a cluster, in a process of its own, with a bench at the other end of the IPC channel.
import { KubeClient } from '#base/kube/client.js';
import { createLogger, setLogLevel } from '#base/telemetry/log.js';
import { runController } from '#mesh/controller/controller.js';
import { readSettings } from '#mesh/controller/settings.js';
import { measureRecomputations } from './recomputations.js';

/** What the bench asks. */
export type Question = 'cpu' | 'heap' | 'stop';

/** What the process tells. */
export type Answer =
  | { readonly kind: 'listening'; readonly port: number }
  /** CPU time since the start, in milliseconds. */
  | { readonly kind: 'cpu'; readonly cpuMs: number }
  /** After full collections of garbage. */
  | { readonly kind: 'heap'; readonly heapBytes: number }
  | { readonly kind: 'recomputations'; readonly cpuMs: Readonly<Record<string, number>> };

const tell = (answer: Answer) => process.send?.(answer);

/** Arguments: `serve URL` of an API server, or `recompute PODS`. */
async function main(job: string | undefined, argument: string | undefined): Promise<void> {
  setLogLevel('error');
  if (job === 'recompute') {
    tell({ kind: 'recomputations', cpuMs: await measureRecomputations(Number(argument)) });
    if (process.connected) process.disconnect();
    return;
  }
  const stop = new AbortController();
  process.on('message', (question: Question) => {
    if (question === 'stop') stop.abort();
    else tell(question === 'cpu' ? cpu() : heap());
  });
  process.on('disconnect', () => stop.abort());
  const { settings } = readSettings(['discovery'], { POD_NAMESPACE: 'istio-system', POD_NAME: 'istiod-1' });
  await runController(
    {
      settings: {
        ...settings,
        listenHost: '127.0.0.1',
        pluggedCaDir: '/nonexistent',
        ports: { http: 0, plaintextGrpc: 0, secureGrpc: 0, monitoring: 0 },
      },
      client: new KubeClient({ server: argument ?? '' }),
      log: createLogger('controller'),
      onListening: ({ secureGrpc }) => tell({ kind: 'listening', port: secureGrpc }),
    },
    stop.signal,
  );
  if (process.connected) process.disconnect();
}

function cpu(): Answer {
  const { user, system } = process.cpuUsage();
  return { kind: 'cpu', cpuMs: (user + system) / 1_000 };
}

function heap(): Answer {
  const { gc } = globalThis as { gc?: () => void };
  for (let i = 0; i < 3; i++) gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return { kind: 'heap', heapBytes: heapUsed + external };
}

await main(process.argv[2], process.argv[3]);
