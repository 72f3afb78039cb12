import { WorkQueue } from '#base/kube/work-queue.js';
import type { KubeClient } from '#base/kube/client.js';
import * as labels from '#base/kube/labels.js';
import { Reflector } from '#base/kube/reflector.js';
import * as resources from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import { untilAborted, untilDoneOrAborted } from '#base/system/until.js';
import type { Collection } from '../graph/collection.js';
import type { Graph } from '../graph/graph.js';
import { waypointController } from './classes.js';
import type { ManagedGateway } from './managed-gateways.js';
import { ObjectApplier } from './object-applier.js';
import type { WaypointRenderer } from './waypoint-objects.js';

/** Gateways worked on at a time. */
const concurrency = 4;

export interface GatewayControllerDeps {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly graph: Graph;
  readonly managed: Collection<ManagedGateway>;
  readonly render: WaypointRenderer;
}

/**
 * Deploys a waypoint for every Gateway whose class asks for one, and repairs its objects when they drift. Deletion is
 * left to garbage collection by owner.
 */
export class GatewayController {
  readonly #deps: GatewayControllerDeps;
  readonly #applier: ObjectApplier;
  /** Present while this replica leads. */
  #queue: WorkQueue | undefined;

  constructor(deps: GatewayControllerDeps) {
    this.#deps = deps;
    this.#applier = new ObjectApplier(deps.client);
    deps.graph.onFlush(deps.managed, (keys) => {
      for (const key of keys) this.#queue?.add(key);
    });
  }

  /** Works while this replica leads; ends with the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, managed, log } = this.#deps;
    const queue = new WorkQueue({
      reconcile: (key, workSignal) => this.#deploy(key, { children, signal: workSignal }),
      onError: (key, error) =>
        log.warn('a Gateway could not be deployed, retrying', { gateway: key, error: messageOf(error) }),
      workersMax: concurrency,
      retryMinMs: 200,
    });
    const children = startChildren(client, { signal, onChange: (key) => queue.add(key) });
    await untilDoneOrAborted(children.synced(), signal);
    this.#queue = queue;
    for (const key of managed.keys()) queue.add(key);
    queue.start(signal);
    await untilAborted(signal);
    if (this.#queue === queue) this.#queue = undefined;
  }

  async #deploy(key: string, work: Work): Promise<void> {
    const managed = this.#deps.managed.get(key);
    if (managed?.isDeployed !== true) return;
    const context = { controllerName: waypointController, names: managed.names };
    for (const rendered of this.#deps.render(managed.gateway, context)) {
      const { namespace, name } = rendered.object.metadata;
      const outcome = await this.#applier.apply(rendered, {
        fieldManager: waypointController,
        live: work.children.get(rendered.resource.plural, namespace, name),
        signal: work.signal,
      });
      if (outcome === 'unchanged') continue;
      this.#deps.log.info(
        outcome === 'applied' ? 'applied a waypoint object' : "left a user's own object alone",
        { kind: rendered.resource.kind, object: `${namespace ?? ''}/${name}` },
      );
    }
  }
}

/** What one deployment works with. */
interface Work {
  readonly children: Children;
  readonly signal: AbortSignal;
}

/** Local copies of the objects made for Gateways. */
interface Children {
  synced(): Promise<void>;
  get(plural: string, namespace: string | undefined, name: string): KubeObject | undefined;
}

function startChildren(
  client: KubeClient,
  o: { readonly signal: AbortSignal; readonly onChange: (gatewayKey: string) => void },
): Children {
  const watch = (resource: resources.Resource) => {
    const reflector = new Reflector({ client, resource, labelSelector: labels.gatewayManaged });
    reflector.onChange(({ object }) => {
      const name = object.metadata.labels?.[labels.gatewayName];
      if (name !== undefined) o.onChange(`${object.metadata.namespace ?? ''}/${name}`);
    });
    reflector.start(o.signal);
    return [resource.plural, reflector] as const;
  };
  const all = new Map([resources.deployments, resources.services, resources.serviceAccounts].map(watch));
  return {
    synced: async () => {
      await Promise.all(Array.from(all.values(), (reflector) => reflector.synced()));
    },
    get: (plural, namespace, name) => all.get(plural)?.get(namespace, name),
  };
}
