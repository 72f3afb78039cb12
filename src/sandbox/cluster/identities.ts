import { KubeClient } from '#base/kube/client.js';
import type { ApiServer } from '../base/api-server.js';

/** Users of a control plane, with the rights that every cluster's bootstrap roles give them. */
export interface Identities {
  /** Reads everything; writes what concerns tokens. */
  readonly controllerManager: KubeClient;
  readonly scheduler: KubeClient;
  /** As the service account of a controller in kube-system: `system:controller:NAME` says what it may do. */
  controller(name: string): Promise<KubeClient>;
}

/** Signs in the parts of a control plane, each as the user it is upstream. */
export async function controlPlaneIdentities(api: Pick<ApiServer, 'connect'>): Promise<Identities> {
  // Every watch is a connection, and so is every request beside them.
  const o = { socketsMax: Number.POSITIVE_INFINITY };
  const connect = async (user: string, groups: readonly string[] = []): Promise<KubeClient> =>
    new KubeClient(await api.connect(user, groups), o);
  const namespace = 'kube-system';
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
  return {
    controllerManager: await connect('system:kube-controller-manager'),
    scheduler: await connect('system:kube-scheduler'),
    controller: (name) => connect(`system:serviceaccount:${namespace}:${name}`, groups),
  };
}
