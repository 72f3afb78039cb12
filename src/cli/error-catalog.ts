import { baseCodes } from '#base/errors/codes.js';
import type { ErrorCode } from '#base/errors/mesh-error.js';
import { ociCodes } from '#base/oci/error-codes.js';
import { cniCodes } from '#mesh/cni/error-codes.js';
import { controllerCodes } from '#mesh/controller/error-codes.js';
import { gatewayCodes } from '#mesh/gateway/error-codes.js';
import { hboneCodes } from '#mesh/hbone/error-codes.js';
import { identityCodes } from '#mesh/identity/error-codes.js';
import { inspectCodes } from '#mesh/inspect/error-codes.js';
import { installCodes } from '#mesh/install/error-codes.js';
import { imageCodes } from '#mesh/install/images/error-codes.js';
import { rulesCodes } from '#mesh/rules/error-codes.js';
import { ztunnelCodes } from '#mesh/ztunnel/error-codes.js';
import { sandboxCodes } from '#sandbox/error-codes.js';
import { cliCodes } from './error-codes.js';

/** Every error code of the product, from the parts that raise them. Append-only: a published code keeps its meaning. */
export const errorCatalog: Readonly<Record<string, ErrorCode>> = {
  ...cliCodes,
  ...baseCodes,
  ...installCodes,
  ...imageCodes,
  ...controllerCodes,
  ...rulesCodes,
  ...identityCodes,
  ...ztunnelCodes,
  ...hboneCodes,
  ...gatewayCodes,
  ...cniCodes,
  ...sandboxCodes,
  ...ociCodes,
  ...inspectCodes,
};
