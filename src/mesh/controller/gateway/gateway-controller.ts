import { isDeepStrictEqual } from 'node:util';
import { isConflict, isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import * as labels from '#base/kube/labels.js';
import { Reflector } from '#base/kube/reflector.js';
import * as resources from '#base/kube/resource.js';
import type {
  Deployment,
  Gateway,
  GatewayClass,
  KubeObject,
  Pod,
  Service,
  ServiceAccount,
} from '#base/kube/types.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import { serviceHostname } from '../model/service.js';
import { objectKey } from '../model/inputs.js';
import { untilAborted, untilDoneOrAborted } from '#base/system/until.js';
import { WorkQueue } from '../work-queue.js';
import {
  builtInClasses,
  gatewayController,
  isOurController,
  unmanagedController,
  waypointController,
} from './classes.js';
import { undeployedStatus, unmanagedStatus, waypointStatus, type DeploymentState } from './gateway-status.js';
import { ObjectApplier } from './object-applier.js';
import { AttachedRoutes } from './attached-routes.js';
import { waypointObjectName, type WaypointRenderer } from './waypoint-objects.js';

/** Gateways worked on at a time. */
const concurrency = 4;
/** Version of the rendering, compared with a Gateway's annotation so that an older controller yields to a newer. */
const controllerVersion = 5;
const versionAnnotation = 'gateway.istio.io/controller-version';

export interface GatewayControllerDeps {
  readonly client: KubeClient;
  readonly log: Logger;
  readonly gateways: Reflector<Gateway>;
  readonly gatewayClasses: Reflector<GatewayClass>;
  readonly pods: Reflector<Pod>;
  readonly namespaces: Reflector<KubeObject>;
  readonly render: WaypointRenderer;
  readonly clusterDomain: string;
  readonly trustDomain: () => string;
  readonly revision: string;
}

/**
 * Deploys a waypoint for every Gateway whose class asks for one, repairs its objects when they
 * drift, and writes the Gateway's status. Deletion is left to garbage collection by owner.
 */
export class GatewayController {
  readonly #deps: GatewayControllerDeps;
  readonly #applier: ObjectApplier;

  constructor(deps: GatewayControllerDeps) {
    this.#deps = deps;
    this.#applier = new ObjectApplier(deps.client);
  }

  /** Works while this replica leads; ends with the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { client, gateways, gatewayClasses, pods, namespaces, log } = this.#deps;
    const queue = new WorkQueue({
      reconcile: (key, workSignal) => this.#reconcile(key, { children, routes, signal: workSignal }),
      onError: (key, error) => {
        // A conflict only means that our copy is behind; the retry works on the newer one.
        const level = isConflict(error) ? 'debug' : 'warn';
        log[level]('a Gateway could not be reconciled, retrying', { gateway: key, error: messageOf(error) });
      },
      concurrency: concurrency,
    });
    const routes = new AttachedRoutes(client);
    const children = startChildren(client, { signal, onChange: (key) => queue.add(key) });
    const stops = [
      gateways.onChange(({ object }) => queue.add(objectKey(object))),
      gatewayClasses.onChange(({ object }) => {
        for (const gateway of gateways.list()) {
          if (gateway.spec.gatewayClassName === object.metadata.name) queue.add(objectKey(gateway));
        }
      }),
      // Its label may give the Gateways of a namespace to this revision.
      namespaces.onChange(({ object, old }) => {
        if (old?.metadata.labels?.[labels.revision] === object.metadata.labels?.[labels.revision]) return;
        for (const gateway of gateways.list()) {
          if (gateway.metadata.namespace === object.metadata.name) queue.add(objectKey(gateway));
        }
      }),
      pods.onChange(({ type, object, old }) => {
        const name = object.metadata.labels?.[labels.gatewayName];
        const isSame = type === 'modified' && old !== undefined && isReadyPod(old) === isReadyPod(object);
        if (name === undefined || isSame) return;
        queue.add(`${object.metadata.namespace ?? ''}/${name}`);
      }),
    ];
    routes.start({ signal, onChange: (key) => queue.add(key) });
    await untilDoneOrAborted(Promise.all([children.synced(), routes.synced()]), signal);
    for (const gateway of gateways.list()) queue.add(objectKey(gateway));
    queue.start(signal);
    await untilAborted(signal);
    for (const stop of stops) stop();
  }

  async #reconcile(key: string, work: Work): Promise<void> {
    const [namespace = '', name = ''] = key.split('/');
    const gateway = this.#deps.gateways.get(namespace, name);
    if (gateway === undefined || gateway.metadata.deletionTimestamp !== undefined) return;
    const controllerName = this.#controllerOf(gateway);
    if (controllerName === undefined || !isOurController(controllerName) || !this.#isOurRevision(gateway))
      return;
    if (controllerName === unmanagedController) return this.#writeStatus(gateway, unmanagedStatus(gateway));
    if (controllerName === gatewayController) return this.#writeStatus(gateway, undeployedStatus(gateway));
    const problem = await this.#deploy(gateway, work);
    const state = this.#deploymentState(gateway, { children: work.children, problem });
    await this.#writeStatus(
      gateway,
      waypointStatus(gateway, state, { attachedTo: (listener) => work.routes.count(key, listener) }),
    );
  }

  /** The class's controller; a class that is not read yet is taken for the built-in one of that name. */
  #controllerOf(gateway: Gateway): string | undefined {
    const className = gateway.spec.gatewayClassName;
    const existing = this.#deps.gatewayClasses.get(undefined, className);
    return (
      existing?.spec.controllerName ?? builtInClasses.find(({ name }) => name === className)?.controllerName
    );
  }

  /** A Gateway belongs to the revision its label or its namespace's names; without either to the default one. */
  #isOurRevision(gateway: Gateway): boolean {
    const namespace = this.#deps.namespaces.get(undefined, gateway.metadata.namespace ?? '');
    const named = gateway.metadata.labels?.[labels.revision] ?? namespace?.metadata.labels?.[labels.revision];
    return (named ?? 'default') === this.#deps.revision;
  }

  async #deploy(gateway: Gateway, work: Work): Promise<DeploymentState['problem']> {
    const version = gateway.metadata.annotations?.[versionAnnotation];
    if (version !== undefined && !(Number(version) <= controllerVersion)) return undefined;
    if (!isManaged(gateway)) return undefined;
    if (gateway.spec.infrastructure?.parametersRef !== undefined) {
      return {
        reason: 'InvalidParameters',
        message: 'spec.infrastructure.parametersRef is not supported for waypoints by this version',
      };
    }
    const context = { controllerName: waypointController, trustDomain: this.#deps.trustDomain() };
    for (const rendered of this.#deps.render(gateway, context)) {
      const { namespace, name } = rendered.object.metadata;
      const outcome = await this.#applier.apply(rendered, {
        fieldManager: waypointController,
        live: work.children.get(rendered.resource.plural, namespace, name),
        signal: work.signal,
      });
      if (outcome === 'unchanged') continue;
      this.#deps.log.info(
        outcome === 'applied' ? 'applied a waypoint object' : "left a user's own object alone",
        {
          kind: rendered.resource.kind,
          object: `${namespace ?? ''}/${name}`,
        },
      );
    }
    return undefined;
  }

  #deploymentState(
    gateway: Gateway,
    from: { readonly children: Children; readonly problem: DeploymentState['problem'] },
  ): DeploymentState {
    const namespace = gateway.metadata.namespace ?? '';
    const pods = this.#deps.pods
      .list()
      .filter(
        ({ metadata }) =>
          metadata.namespace === namespace && metadata.labels?.[labels.gatewayName] === gateway.metadata.name,
      );
    const readyPodCount = pods.filter(isReadyPod).length;
    if (!isManaged(gateway)) {
      const addresses = (gateway.spec.addresses ?? []).map(({ type, value }) => ({
        type: type ?? 'IPAddress',
        value: value ?? '',
      }));
      return {
        addresses,
        readyPodCount: addresses.length,
        podCount: addresses.length,
        problem: from.problem,
      };
    }
    const name = waypointObjectName(gateway);
    const service = from.children.service(namespace, name);
    return {
      addresses: service === undefined ? [] : this.#addressesOf(service),
      readyPodCount,
      podCount: pods.length,
      problem: from.problem,
    };
  }

  /** A load balancer's addresses if it has any, else the cluster addresses and the name. */
  #addressesOf(service: Service): { type: string; value: string }[] {
    const external = (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => [
      ...(ip === undefined ? [] : [{ type: 'IPAddress', value: ip }]),
      ...(hostname === undefined ? [] : [{ type: 'Hostname', value: hostname }]),
    ]);
    if (external.length > 0) return external;
    const ips = (service.spec.clusterIPs ?? []).filter((ip) => ip !== 'None' && ip !== '');
    if (ips.length === 0) return [];
    const hostname = serviceHostname(
      service.metadata.namespace ?? '',
      service.metadata.name,
      this.#deps.clusterDomain,
    );
    return [...ips.map((value) => ({ type: 'IPAddress', value })), { type: 'Hostname', value: hostname }];
  }

  async #writeStatus(gateway: Gateway, status: NonNullable<Gateway['status']>): Promise<void> {
    const before = gateway.status;
    const merged = { ...before, ...status };
    if (isDeepStrictEqual(merged, before)) return;
    const { namespace, name } = gateway.metadata;
    try {
      await this.#deps.client.update<Gateway>(
        { resource: resources.gateways, namespace, name, subresource: 'status' },
        { ...gateway, status: merged },
      );
    } catch (error) {
      // Deleted meanwhile: there is nothing left to describe.
      if (!isNotFound(error)) throw error;
    }
  }
}

/** What one reconciliation works with. */
interface Work {
  readonly children: Children;
  readonly routes: AttachedRoutes;
  readonly signal: AbortSignal;
}

/** Local copies of the objects made for Gateways. */
interface Children {
  synced(): Promise<void>;
  get(plural: string, namespace: string | undefined, name: string): KubeObject | undefined;
  service(namespace: string, name: string): Service | undefined;
}

function startChildren(
  client: KubeClient,
  o: { readonly signal: AbortSignal; readonly onChange: (gatewayKey: string) => void },
): Children {
  const watch = <T extends KubeObject>(resource: resources.Resource) => {
    const reflector = new Reflector<T>({ client, resource, labelSelector: labels.gatewayManaged });
    reflector.onChange(({ object }) => {
      const name = object.metadata.labels?.[labels.gatewayName];
      if (name !== undefined) o.onChange(`${object.metadata.namespace ?? ''}/${name}`);
    });
    reflector.start(o.signal);
    return reflector;
  };
  const deployments = watch<Deployment>(resources.deployments);
  const services = watch<Service>(resources.services);
  const accounts = watch<ServiceAccount>(resources.serviceAccounts);
  const all: Readonly<Record<string, { get(ns: string | undefined, name: string): KubeObject | undefined }>> =
    {
      [resources.deployments.plural]: deployments,
      [resources.services.plural]: services,
      [resources.serviceAccounts.plural]: accounts,
    };
  return {
    synced: async () => {
      await Promise.all([deployments.synced(), services.synced(), accounts.synced()]);
    },
    get: (plural, namespace, name) => all[plural]?.get(namespace, name),
    service: (namespace, name) => services.get(namespace, name),
  };
}

/** More than one address, or a host name, means that the user runs the proxy. */
function isManaged(gateway: Gateway): boolean {
  const addresses = gateway.spec.addresses ?? [];
  const [only] = addresses;
  return only === undefined || (addresses.length === 1 && (only.type ?? 'IPAddress') === 'IPAddress');
}

function isReadyPod(pod: Pod): boolean {
  return (
    pod.metadata.deletionTimestamp === undefined &&
    (pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false)
  );
}
