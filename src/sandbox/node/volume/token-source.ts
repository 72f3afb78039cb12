import type { KubeClient } from '#base/kube/client.js';
import { pathOf, serviceAccounts } from '#base/kube/resource.js';
import type { KubeletPod } from '../model/pod.js';

interface CachedToken {
  readonly token: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
}

interface TokenRequestAnswer {
  readonly status?: { readonly token?: string; readonly expirationTimestamp?: string };
}

const expirationDefaultSeconds = 3600;
/** Kubelet refreshes when 80 percent of the life is over, or after a day. */
const refreshFraction = 0.8;
const ageMaxMs = 24 * 60 * 60 * 1000;
const cacheMax = 4096;

/** Service account tokens bound to pods, by the TokenRequest API, renewed before they expire. */
export class TokenSource {
  readonly #client: KubeClient;
  readonly #cache = new Map<string, CachedToken>();

  constructor(client: KubeClient) {
    this.#client = client;
  }

  /** A token that has at least a fifth of its life left. */
  async token(
    pod: KubeletPod,
    o: { audience: string | undefined; expirationSeconds: number | undefined },
  ): Promise<string> {
    const seconds = o.expirationSeconds ?? expirationDefaultSeconds;
    const key = `${pod.metadata.uid}/${o.audience ?? ''}/${seconds}`;
    const cached = this.#cache.get(key);
    if (cached !== undefined && Date.now() < refreshAtMs(cached)) return cached.token;
    const answer = await this.#client.request<TokenRequestAnswer>({
      method: 'POST',
      path: pathOf(serviceAccounts, {
        namespace: pod.metadata.namespace,
        name: pod.spec.serviceAccountName ?? 'default',
        subresource: 'token',
      }),
      body: {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          ...(o.audience === undefined || o.audience === '' ? {} : { audiences: [o.audience] }),
          expirationSeconds: seconds,
          boundObjectRef: {
            apiVersion: 'v1',
            kind: 'Pod',
            name: pod.metadata.name,
            uid: pod.metadata.uid,
          },
        },
      },
    });
    const { token, expirationTimestamp } = answer.status ?? {};
    if (token === undefined) throw new Error('the API server answered a TokenRequest without a token');
    const expiresAtMs =
      expirationTimestamp === undefined ? Date.now() + seconds * 1000 : Date.parse(expirationTimestamp);
    this.#cache.set(key, { token, issuedAtMs: Date.now(), expiresAtMs });
    const [oldest] = this.#cache.keys();
    if (this.#cache.size > cacheMax && oldest !== undefined) this.#cache.delete(oldest);
    return token;
  }

  /** Forgets the tokens of a pod that is gone. */
  forget(podUid: string): void {
    for (const key of this.#cache.keys()) if (key.startsWith(`${podUid}/`)) this.#cache.delete(key);
  }
}

function refreshAtMs({ issuedAtMs, expiresAtMs }: CachedToken): number {
  return Math.min(issuedAtMs + (expiresAtMs - issuedAtMs) * refreshFraction, issuedAtMs + ageMaxMs);
}
