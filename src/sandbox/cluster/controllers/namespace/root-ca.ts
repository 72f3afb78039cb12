import { isAlreadyExists } from '#base/kube/api-error.js';
import { Reflector } from '#base/kube/reflector.js';
import { configMaps, namespaces } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { createLogger } from '#base/telemetry/log.js';
import type { Controller, ClusterControllerDeps, ControllerQueue } from '../controller.js';

interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

const rootCa = 'kube-root-ca.crt';
const description =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.';

/** Every namespace has the cluster's CA in a ConfigMap, which pods' projected volumes carry; it comes back when deleted or changed. */
export function rootCaController(
  deps: ClusterControllerDeps,
  queue: ControllerQueue,
  o: {
    readonly caPem: string;
    /** Whose watches the caches are. */
    readonly reader: ClusterControllerDeps['client'];
  },
): Controller {
  const log = createLogger('cluster');
  const spaces = deps.caches.of<KubeObject>(namespaces);
  /** Only the objects of one name: there may be many others, and big ones. */
  const certificates = new Reflector<ConfigMap>({
    client: o.reader,
    resource: configMaps,
    fieldSelector: `metadata.name=${rootCa}`,
    onError: (message) => log.warn('watch interrupted', { message }),
  });
  certificates.onChange(({ type, object }) => {
    if (type !== 'added') queue.add(object.metadata.namespace ?? '');
  });
  certificates.start(deps.signal);
  spaces.onChange(({ object, isGone }) => {
    if (!isGone) queue.add(object.metadata.name);
  });
  return {
    name: 'root-ca',
    keys: () => spaces.list().map((n) => n.metadata.name),
    reconcile: async (namespace) => {
      const space = spaces.get(undefined, namespace);
      if (space === undefined || space.metadata.deletionTimestamp !== undefined) return;
      await certificates.synced();
      const current = certificates.get(namespace, rootCa);
      const data = { 'ca.crt': o.caPem };
      if (current === undefined) {
        const annotations = { 'kubernetes.io/description': description };
        const metadata = { name: rootCa, namespace, annotations };
        const object: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
        try {
          await deps.client.create(configMaps, object, { namespace });
        } catch (error) {
          if (!isAlreadyExists(error)) throw error;
        }
      } else if (current.data?.['ca.crt'] !== o.caPem || Object.keys(current.data).length > 1) {
        await deps.client.update({ resource: configMaps, namespace, name: rootCa }, { ...current, data });
      }
    },
  };
}
