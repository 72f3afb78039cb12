import type { ParentReference } from '#base/kube/types.js';
import type { Collection } from '../graph/collection.js';
import type { Graph } from '../graph/graph.js';
import type { Reader } from '../graph/readers.js';
import { type Inputs, statusKey } from '../model/inputs.js';
import { routeKinds } from '../model/kinds.js';
import { gatewayOf, type ListenerSetFacts, type RouteFacts } from '../model/object-facts.js';
import type { DesiredStatus, WantedCondition, WantedParent } from '../status/desired-status.js';
import { unhonoredMessage } from '../status/unhonored.js';
import type { ManagedGateway } from './managed-gateways.js';

/** What to say of routes and ListenerSets, at the parents that are this mesh's: none of them is attached. */
export function createRouteStatuses(
  graph: Graph,
  inputs: Inputs,
  managed: Collection<ManagedGateway>,
): readonly Collection<DesiredStatus>[] {
  const routes = routeKinds.map((kind) =>
    graph.derive<RouteFacts, DesiredStatus>({
      name: 'route-statuses',
      from: inputs[kind],
      compute: ({ namespace, name, generation, parentRefs }, reader) => {
        const parents = parentRefs.flatMap((parentRef): WantedParent[] => {
          const reason = refusalAt(parentRef, namespace, { inputs, managed, reader });
          if (reason === undefined) return [];
          return [
            { parentRef, conditions: [refused('Accepted', reason, unhonoredMessage(kind), generation)] },
          ];
        });
        const value = { kind, namespace, name, conditions: [], parents };
        return [{ key: statusKey(kind, `${namespace}/${name}`), value }];
      },
    }),
  );
  const listenerSets = graph.derive<ListenerSetFacts, DesiredStatus>({
    name: 'listener-set-statuses',
    from: inputs.listenerSets,
    compute: ({ namespace, name, generation, gateway }, reader) => {
      if (gateway === undefined || managed.get(gateway, reader) === undefined) return [];
      const message = unhonoredMessage('listenerSets');
      const conditions = ['Accepted', 'Programmed'].map((type) =>
        refused(type, 'NotAllowed', message, generation),
      );
      const key = statusKey('listenerSets', `${namespace}/${name}`);
      return [{ key, value: { kind: 'listenerSets', namespace, name, conditions } }];
    },
  });
  return [...routes, listenerSets];
}

/**
 * Why a route is not accepted by a parent; undefined when the parent is not this mesh's. The mesh answers for its
 * Gateways, and for every service: calls to any of them go through it.
 */
function refusalAt(
  parentRef: ParentReference,
  namespace: string,
  from: { readonly inputs: Inputs; readonly managed: Collection<ManagedGateway>; readonly reader: Reader },
): string | undefined {
  const gateway = gatewayOf(parentRef, namespace);
  if (gateway !== undefined) {
    return from.managed.get(gateway, from.reader) === undefined ? undefined : 'NotAllowedByListeners';
  }
  const { group = 'gateway.networking.k8s.io', kind } = parentRef;
  switch (`${group}/${kind}`) {
    case '/Service':
    case 'networking.istio.io/ServiceEntry':
      return 'UnsupportedValue';
    case 'gateway.networking.k8s.io/ListenerSet': {
      const key = `${parentRef.namespace ?? namespace}/${parentRef.name}`;
      const set = from.inputs.listenerSets.get(key, from.reader);
      return set?.gateway === undefined || from.managed.get(set.gateway, from.reader) === undefined
        ? undefined
        : 'NotAllowedByListeners';
    }
    default:
      return undefined;
  }
}

function refused(
  type: string,
  reason: string,
  message: string,
  observedGeneration: number | undefined,
): WantedCondition {
  return { type, status: 'False', reason, message, observedGeneration };
}
