import type { KubeConnection } from './context.js';
import type { Options } from './options.js';

/** What a connection to the cluster needs to know of the command. */
export interface KubeConnectionNeeds {
  /** `--timeout`, or what the command takes at most by itself. */
  readonly timeoutMs: number;
  /** By performance.now, asked for at each request; undefined: the command goes on until it is stopped. */
  readonly deadlineMs: () => number | undefined;
  /** Where a person is told what a credential plugin has to say; undefined: there is nobody to ask. */
  readonly terminal: ((text: string) => void) | undefined;
  readonly env: Readonly<NodeJS.ProcessEnv>;
}

const connectMaxMs = 10_000;
const requestMaxMs = 30_000;
const podSilenceMaxMs = 5_000;
/** Of the command's time, what a first connection may take: the rest is for saying so. */
const connectShare = 0.8;

/** Connects to the cluster that the flags and kubeconfig choose. The code that does is loaded here, on first use. */
export async function connectKube(
  options: Options,
  { timeoutMs, deadlineMs, terminal, env }: KubeConnectionNeeds,
): Promise<KubeConnection> {
  const [{ KubeClient }, { kubeconfigConnection }] = await Promise.all([
    import('#base/kube/client.js'),
    import('#base/kube/kubeconfig/kubeconfig-connection.js'),
  ]);
  const connection = await kubeconfigConnection({
    kubeconfig: options.text('kubeconfig'),
    context: options.text('context'),
    as: options.text('as'),
    asGroups: options.texts('as-group'),
    timeoutMs: Math.min(timeoutMs * connectShare, requestMaxMs),
    terminal,
    env,
  });
  const client = new KubeClient(connection, {
    limits: {
      connectMs: Math.min(connectMaxMs, timeoutMs * connectShare),
      requestMs: Math.min(requestMaxMs, timeoutMs),
      podSilenceMs: Math.min(podSilenceMaxMs, timeoutMs),
      get deadlineMs() {
        return deadlineMs();
      },
    },
  });
  return {
    client,
    server: connection.server,
    context: connection.context,
    contextNamespace: connection.namespace,
    namespace: options.text('namespace') ?? connection.namespace,
  };
}
