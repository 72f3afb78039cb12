import { WorkQueue } from '#base/kube/work-queue.js';
import { isAlreadyExists, isNotFound } from '#base/kube/api-error.js';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import { configMaps } from '#base/kube/resource.js';
import type { ConfigMap } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { untilAborted, untilDoneOrAborted } from '#base/system/until.js';
import type { Collection } from '../graph/collection.js';
import type { NamespaceFacts } from '../model/object-facts.js';

/** ConfigMap by which every namespace's pods learn the mesh's roots. */
const configMapName = 'istio-ca-root-cert';
const dataKey = 'root-cert.pem';
/** Namespaces that hold no workloads; upstream leaves out the same. */
const skipped: ReadonlySet<string> = new Set(['kube-public', 'kube-node-lease', 'local-path-storage']);
const concurrency = 4;

export interface RootDistributionDeps {
  readonly client: KubeClient;
  readonly namespaces: Collection<NamespaceFacts>;
  readonly rootPem: () => string;
  /** Calls the listener when the roots changed; returns how to stop. */
  readonly onRootChange: (listener: () => void) => () => void;
  readonly log: Logger;
}

/** Keeps the root ConfigMap in every namespace as it should be; ends with the signal. */
export async function runRootDistribution(deps: RootDistributionDeps, signal: AbortSignal): Promise<void> {
  const published = new Reflector<ConfigMap>({
    client: deps.client,
    resource: configMaps,
    fieldSelector: `metadata.name=${configMapName}`,
    onError: (message) => deps.log.warn('watch failed, retrying', { error: message }),
  });
  const queue = new WorkQueue({
    reconcile: (namespace) => publish(deps, namespace, published.get(namespace, configMapName)),
    onError: (namespace, error) =>
      deps.log.warn('the root certificate could not be published', { namespace, error: messageOf(error) }),
    workersMax: concurrency,
    retryMinMs: 200,
  });
  published.onChange(({ object }) => {
    if (object.metadata.name === configMapName) queue.add(object.metadata.namespace ?? '');
  });
  published.start(signal);
  await untilDoneOrAborted(published.synced(), signal);
  const addAll = (): void => {
    for (const name of deps.namespaces.keys()) queue.add(name);
  };
  const stops = [deps.namespaces.onKeyChange((name) => queue.add(name)), deps.onRootChange(addAll)];
  addAll();
  queue.start(signal);
  await untilAborted(signal);
  for (const stop of stops) stop();
}

async function publish(
  deps: RootDistributionDeps,
  name: string,
  current: ConfigMap | undefined,
): Promise<void> {
  const namespace = deps.namespaces.get(name);
  const isGoing = namespace === undefined || namespace.isTerminating;
  if (isGoing || skipped.has(name)) return;
  const rootPem = deps.rootPem();
  if (current?.data?.[dataKey] === rootPem) return;
  const ref = { resource: configMaps, namespace: name, name: configMapName };
  try {
    if (current === undefined) {
      await deps.client.create<ConfigMap>(
        configMaps,
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          metadata: { name: configMapName, namespace: name, labels: { 'istio.io/config': 'true' } },
          data: { [dataKey]: rootPem },
        },
        { namespace: name },
      );
    } else {
      await deps.client.patch(ref, { data: { [dataKey]: rootPem } });
    }
  } catch (error) {
    // The namespace went meanwhile, or another replica was faster: its change comes back by the watch.
    const isForbiddenByEnd = error instanceof MeshError && error.message.includes('being terminated');
    if (!isNotFound(error) && !isAlreadyExists(error) && !isForbiddenByEnd) throw error;
  }
}
