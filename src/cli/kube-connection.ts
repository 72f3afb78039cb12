import type { KubeConnection } from './context.js';
import type { Options } from './options.js';

/** Connects to the cluster that the flags and kubeconfig choose. The code that does is loaded here, on first use. */
export async function connectKube(options: Options): Promise<KubeConnection> {
  const { KubeClient } = await import('../kube/client.js');
  const client = KubeClient.fromKubeconfig({
    kubeconfig: options.text('kubeconfig'),
    context: options.text('context'),
    as: options.text('as'),
    asGroups: [...options.texts('as-group')],
  });
  const contextNamespace = client.namespace ?? 'default';
  return { client, contextNamespace, namespace: options.text('namespace') ?? contextNamespace };
}
