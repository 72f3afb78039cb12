import type { Logger } from '../../../../telemetry/log.js';
import { systemUser } from '../../auth/user.js';
import { ApiError } from '../../http/api-error.js';
import { cloneJson, type JsonObject, objectOf } from '../../json.js';
import type { Operations } from '../../registry/operations.js';
import { WorkQueue } from '../../work-queue.js';
import { policyTypeWarnings } from './type-checks.js';

const storage = 'validatingadmissionpolicies.admissionregistration.k8s.io';
const options = { user: systemUser, manager: 'kube-controller-manager', subresource: 'status' };

/** Says in the status of every policy which of its expressions do not fit the kinds it names. */
export function startPolicyStatus({
  operations,
  logger,
}: {
  readonly operations: Operations;
  readonly logger: Logger;
}): { stop(): Promise<void> } {
  const { store, registry } = operations;
  const queue = new WorkQueue(
    async (name) => {
      const policy = store.get(storage, undefined, name);
      const resource = registry.findStorage(storage);
      const generation = policy?.metadata.generation;
      if (policy === undefined || resource === undefined) return 'done';
      if (objectOf(policy.status).observedGeneration === generation) return 'done';
      const expressionWarnings = policyTypeWarnings(policy, registry);
      const typeChecking: JsonObject = expressionWarnings.length === 0 ? {} : { expressionWarnings };
      await operations.modify(
        resource,
        { namespace: undefined, name },
        (o) => ({
          ...cloneJson(o),
          status: { ...objectOf(o.status), observedGeneration: generation, typeChecking },
        }),
        options,
      );
      return 'done';
    },
    (name, error) => {
      if (!(error instanceof ApiError && error.code === 404)) {
        logger.warn('admission policy is not checked', { policy: name, error: String(error) });
      }
    },
  );
  for (const policy of store.list(storage)) queue.add(policy.metadata.name);
  const unsubscribe = store.subscribe(storage, ({ object }) => queue.add(object.metadata.name));
  return {
    stop: async () => {
      unsubscribe();
      await queue.stop();
    },
  };
}
