import { Environment } from '@marcbachmann/cel-js';
import { hasMacro, optionalMapMacro } from './has-macro.js';
import { registerAuthorization } from './libraries/authorization.js';
import { registerConversions } from './libraries/conversions.js';
import { registerFormats } from './libraries/formats.js';
import { registerLists } from './libraries/lists.js';
import { registerNetwork } from './libraries/network.js';
import { registerQuantities } from './libraries/quantities.js';
import { registerRegex } from './libraries/regex.js';
import { registerStrings } from './libraries/strings.js';
import { registerUrls } from './libraries/urls.js';

let base: Environment | undefined;

/**
 * A CEL environment with the function libraries that Kubernetes offers in
 * every place it evaluates CEL. Made on first use: most sandboxes evaluate none
 * for a while.
 */
export function newEnvironment(): Environment {
  base ??= makeBase();
  return base.clone();
}

function makeBase(): Environment {
  const base = new Environment({
    unlistedVariablesAreDyn: false,
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
  });
  base.registerFunction('hAs(ast): bool', hasMacro, { async: false });
  base.registerFunction('optional.optMap(ast, ast): optional<dyn>', optionalMapMacro(false), {
    async: false,
  });
  base.registerFunction('optional.optFlatMap(ast, ast): optional<dyn>', optionalMapMacro(true), {
    async: false,
  });
  for (const register of [
    registerConversions,
    registerRegex,
    registerStrings,
    registerLists,
    registerUrls,
    registerNetwork,
    registerQuantities,
    registerFormats,
    registerAuthorization,
  ]) {
    register(base);
  }
  return base;
}
