import type { KubeClient } from '#base/kube/client.js';
import { KubeApiError } from '#base/kube/api-error.js';
import { pathOf, serviceAccounts } from '#base/kube/resource.js';

/** What the plugin needs to reach the API server. */
export interface PluginAccess {
  readonly server: string;
  /** PEM. */
  readonly ca: string | undefined;
  readonly token: string | undefined;
}

/** The plugin's token must outlive the agent: the plugin asks the API also while the agent is away. */
const tokenSeconds = 24 * 3_600;

/** A kubeconfig, written as JSON (which is YAML) so that the plugin needs no parser for it. */
export function formatKubeconfig(access: PluginAccess): string {
  const cluster = {
    server: access.server,
    ...(access.ca === undefined
      ? {}
      : { 'certificate-authority-data': Buffer.from(access.ca).toString('base64') }),
  };
  const user = access.token === undefined ? {} : { token: access.token };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'local', cluster }],
    users: [{ name: 'istio-cni', user }],
    contexts: [{ name: 'istio-cni-context', context: { cluster: 'local', user: 'istio-cni' } }],
    'current-context': 'istio-cni-context',
  };
  return `${JSON.stringify(config, undefined, 2)}\n`;
}

export interface IssuedToken {
  readonly token: string;
  readonly expiresAtMs: number;
}

/**
 * A token of the agent's service account that is not bound to the agent's pod: a pod's
 * own token ends with the pod. Undefined when the agent may not create tokens or the
 * API server does not offer it; throws other failures.
 */
export async function requestPluginToken(
  client: KubeClient,
  account: { readonly namespace: string; readonly name: string },
): Promise<IssuedToken | undefined> {
  try {
    const answer = await client.request<{ status: { token: string; expirationTimestamp: string } }>({
      method: 'POST',
      path: pathOf(serviceAccounts, { ...account, subresource: 'token' }),
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: { expirationSeconds: tokenSeconds },
      },
    });
    return { token: answer.status.token, expiresAtMs: Date.parse(answer.status.expirationTimestamp) };
  } catch (error) {
    if (error instanceof KubeApiError && [403, 404, 405].includes(error.status)) return undefined;
    throw error;
  }
}

/** Account a token belongs to, from its `sub` claim (`system:serviceaccount:NS:NAME`). */
export function accountOfToken(token: string): { namespace: string; name: string } | undefined {
  try {
    const payload = Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8');
    const { sub } = JSON.parse(payload) as { sub?: unknown };
    const match = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(String(sub));
    return match === null ? undefined : { namespace: match[1] ?? '', name: match[2] ?? '' };
  } catch {
    return undefined;
  }
}
