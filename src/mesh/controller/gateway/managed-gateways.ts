import * as labels from '#base/kube/labels.js';
import type { Gateway } from '#base/kube/types.js';
import type { PodFacts, ServiceFacts } from '../../rules/facts.js';
import type { MeshNames } from '../../rules/trust-domain.js';
import type { Collection } from '../graph/collection.js';
import type { Graph } from '../graph/graph.js';
import { meshKey, objectKey, statusKey, type Inputs } from '../model/inputs.js';
import { serviceHostname } from '../../rules/service-name.js';
import type { DesiredStatus } from '../status/desired-status.js';
import { builtInClasses, gatewayController, isOurController, unmanagedController } from './classes.js';
import {
  type DeploymentState,
  type GatewayStatus,
  undeployedStatus,
  unmanagedStatus,
  waypointStatus,
} from './gateway-status.js';
import { waypointObjectName } from './waypoint-objects.js';

/** Version of the rendering, compared with a Gateway's annotation so that an older controller yields to a newer. */
const controllerVersion = 5;
const versionAnnotation = 'gateway.istio.io/controller-version';

/** A Gateway this controller and revision answers for. */
export interface ManagedGateway {
  readonly gateway: Gateway;
  /** What its class asks for: a waypoint, something run elsewhere, or an ingress gateway. */
  readonly role: 'waypoint' | 'unmanaged' | 'ingress';
  /** Whether objects are made for it. */
  readonly isDeployed: boolean;
  /** Why nothing is deployed although it should be. */
  readonly problem: DeploymentState['problem'];
  /** What its proxy is told of the mesh; a change rolls it out. */
  readonly names: MeshNames;
}

/** What is known of Gateways: which are to be deployed, and what their statuses say. */
export interface GatewayCollections {
  /** By `namespace/name`. */
  readonly managed: Collection<ManagedGateway>;
  readonly statuses: Collection<DesiredStatus>;
}

/** Derives which Gateways to deploy and what to say of each, from the class and the objects made for it. */
export function createManagedGateways(
  graph: Graph,
  inputs: Inputs,
  settings: { readonly clusterDomain: string; readonly revision: string },
): GatewayCollections {
  const managed = graph.derive<Gateway, ManagedGateway>({
    name: 'managed-gateways',
    from: inputs.gateways,
    compute: (gateway, reader) => {
      const { namespace = '' } = gateway.metadata;
      const className = gateway.spec.gatewayClassName;
      // A class that is not read yet is taken for the built-in one of that name.
      const controllerName =
        inputs.gatewayClasses.get(className, reader)?.spec.controllerName ??
        builtInClasses.find(({ name }) => name === className)?.controllerName;
      if (controllerName === undefined || !isOurController(controllerName)) return [];
      // It belongs to the revision its label or its namespace's names; without either to the default one.
      const revision =
        gateway.metadata.labels?.[labels.revision] ??
        inputs.namespaces.get(namespace, reader)?.labels[labels.revision] ??
        'default';
      if (revision !== settings.revision || gateway.metadata.deletionTimestamp !== undefined) return [];
      const mesh = inputs.mesh.get(meshKey, reader);
      const names = {
        trustDomain: mesh?.trustDomain ?? '',
        trustDomainAliases: mesh?.trustDomainAliases ?? [],
      };
      return [{ key: objectKey(gateway), value: managedGateway(gateway, controllerName, names) }];
    },
  });
  const podsByGateway = inputs.pods.index((pod) => {
    const name = pod.labels[labels.gatewayName];
    return name === undefined ? [] : [`${pod.namespace}/${name}`];
  });
  const statuses = graph.derive<ManagedGateway, DesiredStatus>({
    name: 'gateway-statuses',
    from: managed,
    compute: ({ gateway, role, problem }, reader) => {
      const key = objectKey(gateway);
      const say = (status: GatewayStatus) => [
        { key: statusKey('gateways', key), value: statusOf(gateway, status) },
      ];
      if (role === 'unmanaged') return say(unmanagedStatus(gateway));
      if (role === 'ingress') return say(undeployedStatus(gateway));
      const { namespace = '' } = gateway.metadata;
      const service = inputs.services.get(`${namespace}/${waypointObjectName(gateway)}`, reader);
      const pods = podsByGateway.get(key, reader);
      const state = deploymentState(gateway, {
        service,
        pods,
        problem,
        clusterDomain: settings.clusterDomain,
      });
      return say(waypointStatus(gateway, state));
    },
  });
  return { managed, statuses };
}

function managedGateway(gateway: Gateway, controllerName: string, names: MeshNames): ManagedGateway {
  const none = { gateway, isDeployed: false, problem: undefined, names };
  if (controllerName === unmanagedController) return { ...none, role: 'unmanaged' };
  if (controllerName === gatewayController) return { ...none, role: 'ingress' };
  const waypoint = { ...none, role: 'waypoint' } as const;
  const version = gateway.metadata.annotations?.[versionAnnotation];
  const isNewers = version !== undefined && !(Number(version) <= controllerVersion);
  if (isNewers || !hasOwnProxy(gateway)) return waypoint;
  if (gateway.spec.infrastructure?.parametersRef !== undefined) {
    const message = 'spec.infrastructure.parametersRef is not supported for waypoints by this version';
    return { ...waypoint, problem: { reason: 'InvalidParameters', message } };
  }
  return { ...waypoint, isDeployed: true };
}

function statusOf(gateway: Gateway, status: GatewayStatus): DesiredStatus {
  const { conditions, ...fields } = status;
  const { namespace = '', name } = gateway.metadata;
  return { kind: 'gateways', namespace, name, conditions, fields: { ...fields } };
}

function deploymentState(
  gateway: Gateway,
  from: {
    readonly service: ServiceFacts | undefined;
    readonly pods: readonly PodFacts[];
    readonly problem: DeploymentState['problem'];
    readonly clusterDomain: string;
  },
): DeploymentState {
  const { service, pods, problem } = from;
  if (!hasOwnProxy(gateway)) {
    const addresses = (gateway.spec.addresses ?? []).map(({ type, value }) => ({
      type: type ?? 'IPAddress',
      value: value ?? '',
    }));
    return { addresses, readyPodCount: addresses.length, podCount: addresses.length, problem };
  }
  // A Service of that name which is the user's own is not the waypoint's.
  const isOurs = service?.labels[labels.gatewayManaged] !== undefined;
  return {
    addresses: isOurs ? addressesOf(service, from.clusterDomain) : [],
    readyPodCount: pods.filter(({ isReady }) => isReady).length,
    podCount: pods.length,
    problem,
  };
}

/** A load balancer's addresses if it has any, else the cluster addresses and the name. */
function addressesOf(service: ServiceFacts, clusterDomain: string): { type: string; value: string }[] {
  if (service.externalAddresses.length > 0) return [...service.externalAddresses];
  if (service.clusterIps.length === 0) return [];
  const hostname = serviceHostname(service.namespace, service.name, clusterDomain);
  return [
    ...service.clusterIps.map((value) => ({ type: 'IPAddress', value })),
    { type: 'Hostname', value: hostname },
  ];
}

/** More than one address, or a host name, means that the user runs the proxy. */
function hasOwnProxy(gateway: Gateway): boolean {
  const addresses = gateway.spec.addresses ?? [];
  const [only] = addresses;
  return only === undefined || (addresses.length === 1 && (only.type ?? 'IPAddress') === 'IPAddress');
}
