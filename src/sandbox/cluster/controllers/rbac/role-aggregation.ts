import { isDeepStrictEqual } from 'node:util';
import { clusterRoles } from '#base/kube/resource.js';
import type { KubeObject, LabelSelector } from '#base/kube/types.js';
import { labelSelectorMatches } from '#base/kube/labels.js';
import type { Controller, ClusterControllerDeps, ControllerQueue } from '../controller.js';

interface ClusterRole extends KubeObject {
  aggregationRule?: { clusterRoleSelectors?: LabelSelector[] };
  rules?: unknown[] | null;
}

const fieldManager = 'clusterrole-aggregation-controller';

/** Cluster roles with an aggregation rule carry the rules of the roles it selects. */
export function roleAggregationController(deps: ClusterControllerDeps, queue: ControllerQueue): Controller {
  const roles = deps.caches.of<ClusterRole>(clusterRoles);
  const aggregated = (): string[] =>
    roles
      .list()
      .filter((r) => selectorsOf(r).length > 0)
      .map((r) => r.metadata.name);
  roles.onChange(() => {
    // An aggregated role may itself be aggregated, so any change may concern any of them.
    for (const name of aggregated()) queue.add(name);
  });
  return {
    name: 'clusterrole-aggregation',
    keys: aggregated,
    reconcile: async (name) => {
      const role = roles.get(undefined, name);
      if (role === undefined || selectorsOf(role).length === 0) return;
      const rules: unknown[] = [];
      const others = roles.list().toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name));
      for (const selector of selectorsOf(role)) {
        for (const other of others) {
          if (other.metadata.name === name || !labelSelectorMatches(selector, other.metadata.labels))
            continue;
          for (const rule of other.rules ?? [])
            if (!rules.some((r) => isDeepStrictEqual(r, rule))) rules.push(rule);
        }
      }
      if (isDeepStrictEqual(role.rules ?? [], rules)) return;
      const object = {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRole',
        metadata: { name },
        rules,
      };
      roles.remember(
        await deps.client.apply<ClusterRole>(clusterRoles, object, { fieldManager, force: true }),
      );
    },
  };
}

function selectorsOf(role: ClusterRole): LabelSelector[] {
  return role.aggregationRule?.clusterRoleSelectors ?? [];
}
