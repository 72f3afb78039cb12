import { describe, expect, test } from 'vitest';
import type { Gateway, GatewayClass, KubeObject, Pod } from '#base/kube/types.js';
import { serviceConditions } from '#mesh/controller/status/service-conditions.js';
import { waypointKey, waypointOf } from '#mesh/rules/waypoint.js';
import { bindWaypoint } from '#mesh/rules/waypoint-binding.js';
import { waypointUserKinds, waypointUsers, waypointUserText } from '#mesh/rules/waypoint-users.js';
import { clusterId, ruleVectors, VectorWorld } from '../../../../harness/rule-vectors.js';

interface Expected {
  readonly kind: 'none' | 'bound' | 'refused';
  readonly waypoint?: string;
  readonly problem?: string;
  /** Everything that names the waypoint, where given. */
  readonly users?: readonly string[];
}

describe.each(ruleVectors<Expected>('waypoint-binding'))(
  'waypoint binding: $name',
  ({ of = '', given, expect: expected }) => {
    const world = new VectorWorld(given);
    const object = world.object<KubeObject>(of);
    const { namespace = '', name } = object.metadata;
    const traffic = object.kind === 'Service' ? 'service' : 'workload';
    const waypoints = new Map(
      world.all<Gateway>('Gateway').map((gateway) => {
        const gatewayClass = world
          .all<GatewayClass>('GatewayClass')
          .find(({ metadata }) => metadata.name === gateway.spec.gatewayClassName);
        const waypoint = waypointOf(gateway, gatewayClass);
        return [waypointKey(waypoint.namespace, waypoint.name), waypoint];
      }),
    );

    test('the rule', () => {
      const binding = bindWaypoint({
        namespace,
        labels: object.metadata.labels ?? {},
        accountLabels: world
          .all<KubeObject>('ServiceAccount')
          .find(
            ({ metadata }) =>
              metadata.namespace === namespace &&
              metadata.name === ((object as Pod).spec.serviceAccountName ?? 'default'),
          )?.metadata.labels,
        namespaceLabels: world.namespaceLabels(namespace),
        traffic,
        getWaypoint: (key) => waypoints.get(key),
        failurePolicy: world.mesh.waypointFailurePolicy,
        clusterDomain: 'cluster.local',
        network: '',
      });
      const { users: _users, ...wanted } = expected;
      expect(binding).toMatchObject(wanted);
      expect(binding.kind === 'none' ? undefined : binding.problem).toBe(expected.problem);
    });

    test('the message and the condition that the controller makes', () => {
      const { index } = world.controller();
      const service = index.services.get(`${namespace}/${name}.${namespace}.svc.cluster.local`);
      const message =
        traffic === 'service'
          ? service?.message
          : index.workloads.get(`${clusterId}//Pod/${namespace}/${name}`)?.message;
      const to = message?.waypoint?.destination;
      const [waypointNamespace, waypoint] = (expected.waypoint ?? '').split('/');
      expect(to).toEqual(
        expected.kind === 'bound'
          ? expect.objectContaining({
              value: expect.objectContaining({
                namespace: waypointNamespace,
                hostname: `${waypoint}.${waypointNamespace}.svc.cluster.local`,
              }) as unknown,
            })
          : undefined,
      );
      if (traffic !== 'service' || service === undefined) return;
      const { kind, problem } = expected;
      const [condition] = serviceConditions(service);
      expect(condition && `${condition.status} ${condition.reason}`).toBe(
        kind === 'none' ? undefined : problem === undefined ? 'True WaypointAccepted' : `False ${problem}`,
      );
    });

    test('the users of the waypoint', () => {
      if (expected.users === undefined) return;
      const users = waypointUserKinds.flatMap((kind) => waypointUsers(kind, world.all(kind)));
      const own = users.filter(
        ({ waypoint }) => expected.waypoint === undefined || waypoint === expected.waypoint,
      );
      expect(own.map(waypointUserText)).toEqual(expected.users);
    });
  },
);
