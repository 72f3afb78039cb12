import { CniError, cniErrorCodes } from './cni-error.js';

/** What a container runtime asked of the plugin (CNI specification 1.1, section 2). */
export interface CniRequest {
  readonly command: string;
  readonly netns: string;
  /** The pod that CNI_ARGS names; its names are empty when the container is not of Kubernetes. */
  readonly pod: {
    readonly namespace: string;
    readonly name: string;
    /** Not every runtime tells. */
    readonly uid: string | undefined;
  };
  /** The configuration on stdin, not read yet. */
  readonly conf: string;
}

/** Parses a request as the plugin lays it down: variables, an empty line, the configuration. Throws {@link CniError}. */
export function parseCniRequest(text: string): CniRequest {
  const end = text.indexOf('\n\n');
  if (end === -1)
    throw new CniError(cniErrorCodes.invalidEnvironment, 'the request of the plugin is cut off');
  const variables = keysAndValues(text.slice(0, end).split('\n'));
  const args = keysAndValues((variables.get('CNI_ARGS') ?? '').split(';'));
  return {
    command: variables.get('CNI_COMMAND') ?? '',
    netns: variables.get('CNI_NETNS') ?? '',
    pod: {
      namespace: args.get('K8S_POD_NAMESPACE') ?? '',
      name: args.get('K8S_POD_NAME') ?? '',
      uid: args.get('K8S_POD_UID'),
    },
    conf: text.slice(end + 2),
  };
}

/** `NAME=VALUE` pairs; malformed ones are ignored, as runtimes ask with IgnoreUnknown. */
function keysAndValues(pairs: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    pairs.flatMap((pair) => {
      const at = pair.indexOf('=');
      return at > 0 ? [[pair.slice(0, at), pair.slice(at + 1)] as const] : [];
    }),
  );
}
