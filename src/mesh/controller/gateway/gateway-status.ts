import { counted } from '#base/collections/counted.js';
import type { Gateway, GatewayListener } from '#base/kube/types.js';
import { hbonePort } from '../../hbone/parameters.js';
import type { WantedCondition } from '../status/desired-status.js';

type Address = { readonly type: string; readonly value: string };

/** A Gateway's status as it is decided, before its conditions have times. */
export interface GatewayStatus {
  readonly conditions: readonly WantedCondition[];
  /** Undefined: as they are. */
  readonly addresses?: readonly Address[];
  readonly listeners?: readonly {
    readonly name: string;
    readonly attachedRoutes: number;
    readonly supportedKinds: readonly never[];
    readonly conditions: readonly WantedCondition[];
  }[];
}

/** What is known of a waypoint's deployment. */
export interface DeploymentState {
  /** Addresses its Service has; empty while there is none. */
  readonly addresses: readonly Address[];
  readonly readyPodCount: number;
  readonly podCount: number;
  /** A reason for nothing being deployed, in words. */
  readonly problem: { readonly reason: string; readonly message: string } | undefined;
}

/** Status of a waypoint's Gateway. An address once reported is kept: clients already depend on it. */
export function waypointStatus(gateway: Gateway, deployment: DeploymentState): GatewayStatus {
  const generation = gateway.metadata.generation;
  const listeners = gateway.spec.listeners.map((listener) => ({
    listener,
    problem: listenerProblem(listener),
  }));
  const bad = listeners.filter(({ problem }) => problem !== undefined);
  const accepted = acceptedCondition({ badCount: bad.length, listenerCount: listeners.length, deployment });
  const isServing = deployment.addresses.length > 0 && deployment.readyPodCount > 0;
  const conditions: WantedCondition[] = [
    { ...accepted, observedGeneration: generation },
    { ...programmedCondition(gateway, deployment, isServing), observedGeneration: generation },
  ];
  return {
    ...(isServing ? { addresses: deployment.addresses } : {}),
    conditions,
    listeners: listeners.map(({ listener, problem }) => ({
      name: listener.name,
      // No kind of route is attached: see route-statuses.ts.
      attachedRoutes: 0,
      supportedKinds: [],
      conditions: listenerConditions(problem, generation),
    })),
  };
}

/** Status of a Gateway that is run elsewhere: it is what its spec says. */
export function unmanagedStatus(gateway: Gateway): GatewayStatus {
  const generation = gateway.metadata.generation;
  const addresses = (gateway.spec.addresses ?? []).flatMap(({ type, value }) =>
    value === undefined ? [] : [{ type: type ?? 'IPAddress', value }],
  );
  const conditions: WantedCondition[] = [
    accept('Accepted', 'Resource accepted', generation),
    {
      type: 'Programmed',
      status: 'True',
      reason: 'Programmed',
      message: 'This Gateway is deployed elsewhere',
      observedGeneration: generation,
    },
  ];
  return {
    ...(addresses.length === 0 ? {} : { addresses }),
    conditions,
    listeners: gateway.spec.listeners.map((listener) => ({
      name: listener.name,
      attachedRoutes: 0,
      supportedKinds: [],
      conditions: listenerConditions(undefined, generation),
    })),
  };
}

/** Status of an ingress Gateway, which this version does not deploy: nothing is claimed. */
export function undeployedStatus(gateway: Gateway): GatewayStatus {
  const generation = gateway.metadata.generation;
  const message = `Gateways of class ${gateway.spec.gatewayClassName} are not deployed by this version`;
  const conditions: WantedCondition[] = [
    { type: 'Accepted', status: 'False', reason: 'Pending', message, observedGeneration: generation },
    { type: 'Programmed', status: 'False', reason: 'Pending', message, observedGeneration: generation },
  ];
  return { conditions };
}

/** Why a listener cannot be a waypoint's; undefined when it can. */
function listenerProblem(
  listener: GatewayListener,
): { readonly reason: string; readonly message: string } | undefined {
  if (listener.protocol === 'HBONE' && listener.port === hbonePort) return undefined;
  return {
    reason: 'UnsupportedProtocol',
    message: `a waypoint listens with protocol HBONE on port ${hbonePort}, not ${listener.protocol} on ${listener.port}`,
  };
}

function acceptedCondition(of: {
  readonly badCount: number;
  readonly listenerCount: number;
  readonly deployment: DeploymentState;
}): WantedCondition {
  if (of.badCount > 0) {
    const isAll = of.badCount === of.listenerCount;
    return {
      type: 'Accepted',
      status: isAll ? 'False' : 'True',
      reason: 'ListenersNotValid',
      message: `${of.badCount} of ${counted(of.listenerCount, 'listener')} cannot be used`,
    };
  }
  if (of.deployment.problem !== undefined) {
    return { type: 'Accepted', status: 'False', ...of.deployment.problem };
  }
  return accept('Accepted', 'Resource accepted', undefined);
}

function programmedCondition(
  gateway: Gateway,
  deployment: DeploymentState,
  isServing: boolean,
): WantedCondition {
  if (isServing) {
    const [first] = deployment.addresses;
    return {
      type: 'Programmed',
      status: 'True',
      reason: 'Programmed',
      message: `Resource programmed, assigned to ${first?.value ?? ''}`,
    };
  }
  const name = `${gateway.metadata.namespace ?? ''}/${gateway.metadata.name}`;
  const message =
    deployment.problem?.message ??
    (deployment.addresses.length === 0
      ? `Service of ${name} has no address yet`
      : `${deployment.readyPodCount} of ${deployment.podCount} pods of ${name} are ready`);
  return { type: 'Programmed', status: 'False', reason: 'AddressNotAssigned', message };
}

function listenerConditions(
  problem: { readonly reason: string; readonly message: string } | undefined,
  observedGeneration: number | undefined,
): WantedCondition[] {
  const isGood = problem === undefined;
  const state = (type: string, reason: string, message: string): WantedCondition => ({
    type,
    status: isGood ? 'True' : 'False',
    reason: problem?.reason ?? reason,
    message: problem?.message ?? message,
    observedGeneration,
  });
  return [
    state('Accepted', 'Accepted', 'No errors found'),
    { ...state('Programmed', 'Programmed', 'No errors found'), ...(isGood ? {} : { reason: 'Invalid' }) },
    {
      type: 'ResolvedRefs',
      status: 'True',
      reason: 'ResolvedRefs',
      message: 'No errors found',
      observedGeneration,
    },
    {
      type: 'Conflicted',
      status: 'False',
      reason: 'NoConflicts',
      message: 'No errors found',
      observedGeneration,
    },
  ];
}

function accept(type: string, message: string, observedGeneration: number | undefined): WantedCondition {
  return { type, status: 'True', reason: 'Accepted', message, observedGeneration };
}
