import { gatewayClasses, gateways, namespaces, serviceAccounts } from '#base/kube/resource.js';
import type { Gateway, GatewayClass, KubeObject, Namespace, Pod } from '#base/kube/types.js';
import { waypointKey, waypointOf, type Waypoint } from '../../rules/waypoint.js';
import { bindWaypoint, type WaypointBinding } from '../../rules/waypoint-binding.js';
import type { Configuration } from '../configuration/configuration.js';

/** Binds objects of a configuration to their waypoints, by the rule of the controller. */
export class ConfiguredBindings {
  readonly #configuration: Configuration;
  readonly #waypoints: ReadonlyMap<string, Waypoint>;
  readonly #accounts: ReadonlyMap<string, KubeObject>;
  readonly #namespaceLabels: ReadonlyMap<string, Readonly<Record<string, string>>>;

  constructor(configuration: Configuration) {
    this.#configuration = configuration;
    const classes = new Map(
      configuration.list<GatewayClass>(gatewayClasses).map((found) => [found.metadata.name, found]),
    );
    this.#waypoints = new Map(
      configuration
        .list<Gateway>(gateways)
        .map((gateway) => [
          waypointKey(gateway.metadata.namespace ?? '', gateway.metadata.name),
          waypointOf(gateway, classes.get(gateway.spec.gatewayClassName)),
        ]),
    );
    this.#accounts = new Map(
      configuration
        .list<KubeObject>(serviceAccounts)
        .map((account) => [`${account.metadata.namespace ?? ''}/${account.metadata.name}`, account]),
    );
    this.#namespaceLabels = new Map(
      configuration.list<Namespace>(namespaces).map(({ metadata }) => [metadata.name, metadata.labels ?? {}]),
    );
  }

  /** Gateways by `namespace/name`. */
  get waypoints(): ReadonlyMap<string, Waypoint> {
    return this.#waypoints;
  }

  namespaceLabels(namespace: string): Readonly<Record<string, string>> {
    return this.#namespaceLabels.get(namespace) ?? {};
  }

  /** The ServiceAccount that a Pod runs as. */
  accountOf(object: KubeObject): KubeObject | undefined {
    if (object.kind !== 'Pod') return undefined;
    const name = (object as Pod).spec.serviceAccountName ?? 'default';
    return this.#accounts.get(`${object.metadata.namespace ?? ''}/${name}`);
  }

  /** The binding of a Service or a Pod. */
  bind(object: KubeObject, traffic: 'service' | 'workload'): WaypointBinding {
    const namespace = object.metadata.namespace ?? '';
    return bindWaypoint({
      namespace,
      labels: object.metadata.labels ?? {},
      accountLabels: this.accountOf(object)?.metadata.labels,
      namespaceLabels: this.namespaceLabels(namespace),
      traffic,
      getWaypoint: (key) => this.#waypoints.get(key),
      failurePolicy: this.#configuration.settings.mesh.waypointFailurePolicy,
      // Where traffic would be sent to is not asked here, only whether.
      clusterDomain: '',
      network: '',
    });
  }
}
