import type { ErrorCode } from '#base/errors/mesh-error.js';

/** What settings of the mesh cannot be read as; raised by the components that are started with them, too. */
export const rulesCodes = {
  MESH0401: {
    kind: 'usage',
    title: 'The controller was started with settings it cannot use.',
    cause: 'A flag, an environment variable or the mesh ConfigMap holds a value that cannot be read.',
    fix: 'Correct the value named in the message; `kubectl -n istio-system get deploy istiod -o yaml` shows what is set.',
  },
  MESH0708: {
    kind: 'usage',
    title: 'the CNI agent was started with settings it cannot use',
    cause: 'An environment variable of the istio-cni-node DaemonSet is missing or malformed.',
    fix: 'Compare the DaemonSet with `meshctl manifest diff`.',
  },
} as const satisfies Record<string, ErrorCode>;
