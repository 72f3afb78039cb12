import type { Agent, RequestOptions } from 'node:https';
import { createSecureContext, type SecureContext } from 'node:tls';
import type { KubeConfig } from '@kubernetes/client-node';

/** What TLS connections with the same credentials share. */
interface SharedTls {
  readonly credentials: string;
  readonly context: SecureContext;
  readonly agent: RequestOptions['agent'];
}

const known = new WeakMap<object, SharedTls>();

/**
 * Lets the connections that client-node opens for an owner read their keys once, and resume the TLS session of the one
 * before: a command opens two to each node. Changed credentials begin anew.
 */
export function shareTls(owner: object, config: KubeConfig): KubeConfig {
  const apply = config.applyToHTTPSOptions.bind(config);
  config.applyToHTTPSOptions = async (options): Promise<void> => {
    await apply(options);
    const own = options as RequestOptions & { secureContext?: SecureContext; agent?: Agent };
    const { ca, cert, key, pfx, passphrase } = own;
    if (key === undefined && ca === undefined) return;
    const credentials = JSON.stringify([ca, cert, key, pfx, passphrase].map(String));
    const before = known.get(owner);
    const shared =
      before?.credentials === credentials
        ? before
        : { credentials, context: createSecureContext({ ca, cert, key, pfx, passphrase }), agent: own.agent };
    known.set(owner, shared);
    Object.assign(own, { secureContext: shared.context, agent: shared.agent });
  };
  return config;
}
