import type { KubeClient } from '#base/kube/client.js';
import type { Resource } from '#base/kube/resource.js';
import type { Gateway } from '#base/kube/types.js';
import type { NameSource } from './complete.js';

/** What the tab key may take: later than this, nothing is better. */
const patienceMs = 1_000;

/**
 * Names as the cluster and this machine have them at the moment. Whatever goes wrong, and whatever takes longer than a
 * second, is no name: a shell has no place for messages.
 */
export function liveNames(signal: AbortSignal): NameSource {
  return async (kind, flags) => {
    const deadline = new AbortController();
    const end = (): void => deadline.abort();
    const timer = setTimeout(end, patienceMs);
    signal.addEventListener('abort', end, { once: true });
    const none = new Promise<readonly string[]>((resolve) => {
      deadline.signal.addEventListener('abort', () => resolve([]), { once: true });
    });
    try {
      return await Promise.race([none, namesOf(kind, flags, deadline.signal).catch(() => [])]);
    } finally {
      clearTimeout(timer);
    }
  };
}

async function namesOf(
  kind: Parameters<NameSource>[0],
  flags: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  switch (kind) {
    case 'code':
      return Object.keys((await import('../error-catalog.js')).errorCatalog);
    case 'profile': {
      const [{ readTemplateFiles }, { profileNames }] = await Promise.all([
        import('#mesh/templates/files.js'),
        import('#mesh/install/values/profile.js'),
      ]);
      return profileNames(readTemplateFiles());
    }
    case 'sandbox':
      return (await import('#sandbox/launcher/index.js')).sandboxList().map(({ name }) => name);
    case 'context':
      return contextNames(flags.get('kubeconfig'));
    default:
      return clusterNames(kind, flags, signal);
  }
}

async function contextNames(kubeconfig: string | undefined): Promise<readonly string[]> {
  const { readKubeconfig } = await import('#base/kube/kubeconfig/kubeconfig-files.js');
  return [...((await readKubeconfig(kubeconfig))?.contexts.keys() ?? [])];
}

async function clusterNames(
  kind: 'gateway' | 'namespace' | 'node' | 'pod' | 'service' | 'waypoint' | 'ztunnel',
  flags: ReadonlyMap<string, string>,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const [{ connectKube }, { Options }, resources] = await Promise.all([
    import('../kube-connection.js'),
    import('../options.js'),
    import('#base/kube/resource.js'),
  ]);
  const given = ['kubeconfig', 'context', 'namespace', 'as'].map((name) => [name, flags.get(name)]);
  const { client, namespace } = await connectKube(new Options(Object.fromEntries(given)), {
    timeoutMs: patienceMs,
    deadlineMs: () => undefined,
    terminal: undefined,
    env: process.env,
  });
  try {
    switch (kind) {
      case 'namespace':
        return await listed(client, resources.namespaces, { signal });
      case 'node':
        return await listed(client, resources.nodes, { signal });
      case 'pod':
        return await listed(client, resources.pods, { namespace, signal });
      case 'service':
        return await listed(client, resources.services, { namespace, signal });
      case 'ztunnel': {
        const meshNamespace = flags.get('istio-namespace') ?? 'istio-system';
        const of = { namespace: meshNamespace, labelSelector: 'app=ztunnel', signal };
        return (await listed(client, resources.pods, of)).map((name) => `${name}.${meshNamespace}`);
      }
      case 'waypoint':
      case 'gateway': {
        const all = await client.list<Gateway>(resources.gateways, { namespace, signal });
        const isWanted = ({ spec }: Gateway): boolean =>
          kind === 'gateway' || spec.gatewayClassName.includes('waypoint');
        return all.filter(isWanted).map(({ metadata }) => metadata.name);
      }
    }
  } finally {
    client.close();
  }
}

async function listed(
  client: KubeClient,
  resource: Resource,
  options: { namespace?: string; labelSelector?: string; signal: AbortSignal },
): Promise<readonly string[]> {
  const items = await client.list(resource, { ...options, isMetadataOnly: true });
  return items.map(({ metadata }) => metadata.name);
}
