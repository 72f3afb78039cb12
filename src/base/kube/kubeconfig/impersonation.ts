import type { KubeConfig } from '@kubernetes/client-node';
import type { KubeconfigUser } from './kubeconfig-files.js';

/** Whom to act as, instead of what the kubeconfig says. */
export interface Impersonation {
  readonly as?: string | undefined;
  readonly asGroups?: readonly string[] | undefined;
}

/** The headers that ask the API server to take a request for somebody else's; flags go before the kubeconfig. */
export function impersonationHeaders(
  { as, asGroups }: Impersonation,
  user: KubeconfigUser,
): Readonly<Record<string, string | string[]>> {
  const isNamed = as !== undefined;
  const name = as ?? user.as;
  const groups = asGroups !== undefined && asGroups.length > 0 ? asGroups : isNamed ? [] : user['as-groups'];
  const uid = isNamed ? undefined : user['as-uid'];
  const extra = isNamed ? {} : (user['as-user-extra'] ?? {});
  return {
    ...(name === undefined || name === '' ? {} : { 'Impersonate-User': name }),
    ...(groups === undefined || groups.length === 0 ? {} : { 'Impersonate-Group': [...groups] }),
    ...(uid === undefined || uid === '' ? {} : { 'Impersonate-Uid': uid }),
    ...Object.fromEntries(
      Object.entries(extra).map(([key, values]) => [
        `Impersonate-Extra-${encodeURIComponent(key)}`,
        [...values],
      ]),
    ),
  };
}

/** client-node's configuration, empty as yet, whose every request carries these headers; its own passes on the user only. */
export async function kubeConfigWith(headers: ReturnType<typeof impersonationHeaders>): Promise<KubeConfig> {
  const { KubeConfig: Base } = await import('@kubernetes/client-node');
  class Impersonating extends Base {
    override async applyToHTTPSOptions(
      options: Parameters<KubeConfig['applyToHTTPSOptions']>[0],
    ): Promise<void> {
      await super.applyToHTTPSOptions(options);
      options.headers = { ...(options.headers as Record<string, string> | undefined), ...headers };
    }
  }
  return new Impersonating();
}
