import type { KubeConnection } from './context.js';
import type { Options } from './options.js';

/** Connects to the cluster that the flags and kubeconfig choose. The code that does is loaded here, on first use. */
export async function connectKube(options: Options): Promise<KubeConnection> {
  const [{ KubeClient }, { kubeconfigConnection }] = await Promise.all([
    import('#base/kube/client.js'),
    import('#base/kube/connection.js'),
  ]);
  const connection = await kubeconfigConnection({
    kubeconfig: options.text('kubeconfig'),
    context: options.text('context'),
  });
  const client = new KubeClient(connection, { as: options.text('as'), asGroups: options.texts('as-group') });
  return {
    client,
    contextNamespace: connection.namespace,
    namespace: options.text('namespace') ?? connection.namespace,
  };
}
