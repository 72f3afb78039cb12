import type { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import { httpRoutes } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';

/** A route, as far as its parents go. */
interface Route extends KubeObject {
  spec?: {
    parentRefs?: { group?: string; kind?: string; namespace?: string; name: string; sectionName?: string }[];
  };
}

/** Counts the HTTPRoutes that name a Gateway as parent. */
export class AttachedRoutes {
  readonly #routes: Reflector<Route>;

  constructor(client: KubeClient) {
    this.#routes = new Reflector<Route>({ client, resource: httpRoutes });
  }

  /** Starts watching; `onChange` is told the key of every Gateway whose count may have changed. */
  start(o: { readonly signal: AbortSignal; readonly onChange: (gatewayKey: string) => void }): void {
    this.#routes.onChange(({ object, old }) => {
      for (const route of [object, old]) {
        if (route !== undefined) for (const { key } of parentsOf(route)) o.onChange(key);
      }
    });
    this.#routes.start(o.signal);
  }

  synced(): Promise<void> {
    return this.#routes.synced();
  }

  /** Routes whose parent is the Gateway as a whole or this listener of it. */
  count(gatewayKey: string, listener: string): number {
    return this.#routes
      .list()
      .filter((route) =>
        parentsOf(route).some(
          ({ key, sectionName }) =>
            key === gatewayKey && (sectionName === undefined || sectionName === listener),
        ),
      ).length;
  }
}

function parentsOf(route: Route): { readonly key: string; readonly sectionName: string | undefined }[] {
  return (route.spec?.parentRefs ?? [])
    .filter(
      ({ group, kind }) =>
        (group ?? 'gateway.networking.k8s.io') === 'gateway.networking.k8s.io' &&
        (kind ?? 'Gateway') === 'Gateway',
    )
    .map(({ namespace, name, sectionName }) => ({
      key: `${namespace ?? route.metadata.namespace ?? ''}/${name}`,
      sectionName,
    }));
}
