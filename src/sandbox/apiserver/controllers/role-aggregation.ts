import { systemUser } from '../auth/user.js';
import { cloneJson, equalJson, type Json, objectsOf, pathOf } from '../json.js';
import { LabelSelector } from '../registry/label-selector.js';
import type { ControllerDeps, Stoppable } from './builtin-controllers.js';
import { WorkQueue } from './work-queue.js';

const storage = 'clusterroles.rbac.authorization.k8s.io';

/** Cluster roles with an aggregation rule carry the rules of the roles it selects. */
export function startRoleAggregation({ operations, logger }: ControllerDeps): Stoppable {
  const { store, registry } = operations;
  const queue = new WorkQueue(
    async () => {
      const resource = registry.findStorage(storage);
      if (resource === undefined) return 'done';
      let hasChanged = false;
      for (const role of store.list(storage)) {
        const selectors = objectsOf(pathOf(role, 'aggregationRule', 'clusterRoleSelectors'));
        if (selectors.length === 0) continue;
        const rules: Json[] = [];
        for (const selector of selectors.map((s) => LabelSelector.fromObject(s))) {
          for (const other of store.list(storage)) {
            if (other.metadata.uid === role.metadata.uid || !selector.matches(other.metadata.labels))
              continue;
            for (const rule of objectsOf(other.rules))
              if (!rules.some((r) => equalJson(r, rule))) rules.push(rule);
          }
        }
        if (equalJson(role.rules ?? [], rules)) continue;
        hasChanged = true;
        await operations.modify(
          resource,
          { namespace: undefined, name: role.metadata.name },
          (o) => ({ ...cloneJson(o), rules: cloneJson(rules) }),
          { user: systemUser, manager: 'clusterrole-aggregation-controller' },
        );
      }
      // An aggregated role may itself be aggregated: go on until nothing changes.
      return hasChanged ? 'again' : 'done';
    },
    (_key, error) => {
      logger.warn('role aggregation failed', { error: String(error) });
    },
  );
  queue.add('all');
  const unsubscribe = store.subscribe(storage, () => queue.add('all'));
  return {
    stop: async () => {
      unsubscribe();
      await queue.stop();
    },
  };
}
