import { isAlreadyExists } from '#base/kube/api-error.js';
import { namespaces, serviceAccounts } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { Controller, ClusterControllerDeps, ControllerQueue } from '../controller.js';

const defaultAccount = 'default';

/** Every namespace has a `default` service account; it comes back when deleted. */
export function serviceAccountController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const spaces = deps.caches.of<KubeObject>(namespaces);
  const accounts = deps.caches.of<KubeObject>(serviceAccounts);
  spaces.onChange(({ object, isGone }) => {
    if (!isGone) queue.add(object.metadata.name);
  });
  accounts.onChange(({ object, isGone }) => {
    if (isGone && object.metadata.name === defaultAccount) queue.add(object.metadata.namespace ?? '');
  });
  return {
    name: 'service-account',
    keys: () => spaces.list().map((n) => n.metadata.name),
    reconcile: async (namespace) => {
      const space = spaces.get(undefined, namespace);
      if (space === undefined || space.metadata.deletionTimestamp !== undefined) return;
      if (accounts.get(namespace, defaultAccount) !== undefined) return;
      const metadata = { name: defaultAccount, namespace };
      const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata };
      try {
        await deps.client.create(serviceAccounts, account, { namespace });
      } catch (error) {
        if (!isAlreadyExists(error)) throw error;
      }
    },
  };
}
