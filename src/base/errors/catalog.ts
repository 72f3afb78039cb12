import { cliCodes } from './codes/cli.js';
import { cniCodes } from './codes/cni.js';
import { controllerCodes } from './codes/controller.js';
import { inspectCodes } from './codes/inspect.js';
import { installCodes } from './codes/install.js';
import { kubeCodes } from './codes/kube.js';
import { sandboxCodes } from './codes/sandbox.js';
import { systemCodes } from './codes/system.js';
import { waypointCodes } from './codes/waypoint.js';
import { ztunnelCodes } from './codes/ztunnel.js';
import type { ErrorCode } from './mesh-error.js';

/** Every error code of the product. Append-only: a published code keeps its meaning. */
export const errorCatalog: Readonly<Record<string, ErrorCode>> = {
  ...cliCodes,
  ...kubeCodes,
  ...installCodes,
  ...controllerCodes,
  ...ztunnelCodes,
  ...waypointCodes,
  ...cniCodes,
  ...sandboxCodes,
  ...inspectCodes,
  ...systemCodes,
};
