import { isAlreadyExists } from '../../../../kube/api-error.js';
import { Reflector } from '../../../../kube/reflector.js';
import { configMaps, namespaces, type Resource, serviceAccounts } from '../../../../kube/resource.js';
import type { KubeObject } from '../../../../kube/types.js';
import { createLogger } from '../../../../telemetry/log.js';
import type { Controller, ControllerDeps, ControllerQueue } from '../controller.js';

interface ConfigMap extends KubeObject {
  data?: Record<string, string>;
}

const defaultAccount = 'default';
const rootCa = 'kube-root-ca.crt';

/**
 * Every namespace has a `default` service account and the cluster's CA in a
 * ConfigMap, which pods' projected volumes carry; both come back when deleted or changed.
 */
export function serviceAccountController(
  deps: ControllerDeps,
  queue: ControllerQueue,
  o: { readonly caPem: string },
): Controller {
  const log = createLogger('cluster');
  const spaces = deps.caches.of<KubeObject>(namespaces);
  const accounts = deps.caches.of<KubeObject>(serviceAccounts);
  /** Only the objects of one name: there may be many others, and big ones. */
  const certificates = new Reflector<ConfigMap>({
    client: deps.client,
    resource: configMaps,
    fieldSelector: `metadata.name=${rootCa}`,
    onError: (message) => log.warn('watch interrupted', { message }),
  });
  certificates.onChange(({ type, object }) => {
    if (type !== 'added') queue.add(object.metadata.namespace ?? '');
  });
  certificates.start(deps.signal);
  accounts.onChange(({ object, isGone }) => {
    if (isGone && object.metadata.name === defaultAccount) queue.add(object.metadata.namespace ?? '');
  });
  spaces.onChange(({ object, isGone }) => {
    if (!isGone) queue.add(object.metadata.name);
  });

  const ensure = async (resource: Resource, object: KubeObject): Promise<void> => {
    try {
      await deps.client.create(resource, object, { namespace: object.metadata.namespace ?? '' });
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
    }
  };
  return {
    name: 'service-account',
    keys: () => spaces.list().map((n) => n.metadata.name),
    reconcile: async (namespace) => {
      const space = spaces.get(undefined, namespace);
      if (space === undefined || space.metadata.deletionTimestamp !== undefined) return;
      await certificates.synced();
      if (accounts.get(namespace, defaultAccount) === undefined) {
        const metadata = { name: defaultAccount, namespace };
        await ensure(serviceAccounts, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
      }
      const current = certificates.get(namespace, rootCa);
      const data = { 'ca.crt': o.caPem };
      if (current === undefined) {
        const metadata = {
          name: rootCa,
          namespace,
          annotations: {
            'kubernetes.io/description':
              'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.',
          },
        };
        const object: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data };
        await ensure(configMaps, object);
      } else if (current.data?.['ca.crt'] !== o.caPem || Object.keys(current.data).length > 1) {
        await deps.client.update({ resource: configMaps, namespace, name: rootCa }, { ...current, data });
      }
    },
  };
}
