import type { Logger } from '../../../telemetry/log.js';
import type { Operations } from '../registry/operations.js';
import { startCrdController } from '../crd/crd-controller.js';
import { startGarbageCollector } from './garbage-collector.js';
import { startNamespaceController } from './namespace-controller.js';
import { startQuotaController } from './quota-controller.js';
import { startRoleAggregation } from './role-aggregation.js';
import { startServiceAccountController } from './service-account-controller.js';

export interface ControllerDeps {
  readonly operations: Operations;
  readonly caPem: string;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Something that runs until it is stopped. */
export interface Stoppable {
  stop(): Promise<void>;
}

/** Starts the controllers that belong to the API itself; workload controllers are clients elsewhere. */
export function startBuiltinControllers(deps: ControllerDeps): Stoppable {
  const running = [
    startCrdController(deps),
    startServiceAccountController(deps),
    startNamespaceController(deps),
    startGarbageCollector(deps),
    startRoleAggregation(deps),
    startQuotaController(deps),
  ];
  return {
    stop: async () => {
      await Promise.all(running.map((c) => c.stop()));
    },
  };
}
