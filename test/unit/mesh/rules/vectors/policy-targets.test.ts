import { describe, expect, test } from 'vitest';
import { policyConditions } from '#mesh/controller/status/policy-conditions.js';
import { isConvertedPeerAuth } from '#mesh/rules/peer-authentication.js';
import { waypointKey } from '#mesh/rules/waypoint.js';
import { Scope } from '#mesh/xds/gen/istio/authorization_pb.js';
import { clusterId, ruleVectors, VectorWorld, ZtunnelUnderTest } from '../../../../harness/rule-vectors.js';

/** By policy: `ztunnel`, `waypoint ns/name`, or `nothing`. */
type Expected = Readonly<Record<string, string>>;

const webKey = 'shop/web.shop.svc.cluster.local';

describe.each(ruleVectors<Expected>('policy-targets'))(
  'policy targets: $name',
  ({ given, expect: expected }) => {
    const world = new VectorWorld(given);
    const state = world.controller();
    const { index } = state;
    const enforced = Object.entries(expected).filter(([, by]) => by !== 'nothing');

    test('what the controller sends to the enforcement points of the pod', () => {
      const ztunnel = new ZtunnelUnderTest(state);
      const { authorizationPolicies } = ztunnel.workload(world.pod);
      const atZtunnel = ztunnel.policies
        .list()
        .filter(({ name }) => !isConvertedPeerAuth(name))
        .filter(
          ({ key, scope, namespace }) =>
            scope === Scope.GLOBAL ||
            (scope === Scope.NAMESPACE && namespace === 'shop') ||
            authorizationPolicies.includes(key),
        )
        .map(({ key }) => [key, 'ztunnel']);
      const inTheWay = new Set(
        [
          index.workloads.get(`${clusterId}//Pod/shop/a`)?.message,
          index.services.get(webKey)?.message,
        ].flatMap((message) => {
          const to = message?.waypoint?.destination;
          if (to?.case !== 'hostname') return [];
          return [waypointKey(to.value.namespace, to.value.hostname.split('.')[0] ?? '')];
        }),
      );
      const atWaypoints = index.l7Policies
        .list()
        .filter(({ gateway }) => inTheWay.has(gateway))
        .filter(({ message: { targets } }) => targets.length === 0 || targets.some((t) => isWeb(t)))
        .map(({ gateway, message }) => [`${message.namespace}/${message.name}`, `waypoint ${gateway}`]);
      expect(new Map([...atZtunnel, ...atWaypoints] as [string, string][])).toEqual(new Map(enforced));
    });

    test('the conditions of the policies', () => {
      for (const [key, by] of Object.entries(expected)) {
        const outcome = index.policyOutcomes.get(key);
        const [condition] = outcome === undefined ? [] : policyConditions(outcome);
        expect(condition?.status, key).toBe(by === 'nothing' ? 'False' : 'True');
      }
    });
  },
);

function isWeb({ namespace, hostname }: { readonly namespace: string; readonly hostname: string }): boolean {
  return `${namespace}/${hostname}` === webKey;
}
