import { createHash } from 'node:crypto';
import type { KubeClient } from '#base/kube/client.js';
import { tokenReviews } from '#base/kube/resource.js';
import type { TokenReview } from '#base/kube/types.js';

/** Who presented a token: a service account, and the pod it is bound to when it is. */
export interface Caller {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: { readonly name: string; readonly uid: string } | undefined;
}

/** Audience tokens must be issued for. */
export const tokenAudience = 'istio-ca';
/** Most tokens remembered; each proxy has one at a time. */
const cacheMax = 2_048;
/** How long a token is believed without asking again, in milliseconds. */
const cacheTtlMs = 30_000;

/**
 * Authenticates Kubernetes service account tokens by asking the API server, which alone knows
 * whether the pod a token is bound to still exists. Positive answers are remembered briefly, under
 * the token's hash: a node full of workloads asks for many certificates at once.
 */
export class TokenAuthenticator {
  readonly #client: KubeClient;
  readonly #now: () => number;
  readonly #known = new Map<string, { readonly caller: Caller; readonly untilMs: number }>();
  readonly #asking = new Map<string, Promise<Caller | undefined>>();

  constructor(client: KubeClient, now: () => number = Date.now) {
    this.#client = client;
    this.#now = now;
  }

  /** The caller, or undefined when the API server does not vouch for the token. Rejects when it cannot be asked. */
  authenticate(token: string): Promise<Caller | undefined> {
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known !== undefined && known.untilMs > this.#now()) return Promise.resolve(known.caller);
    const asking = this.#asking.get(key);
    if (asking !== undefined) return asking;
    const answer = this.#review(token)
      .then((caller) => {
        if (caller !== undefined) this.#remember(key, caller);
        return caller;
      })
      .finally(() => this.#asking.delete(key));
    this.#asking.set(key, answer);
    return answer;
  }

  async #review(token: string): Promise<Caller | undefined> {
    const review = await this.#client.create<TokenReview>(tokenReviews, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: [tokenAudience] },
    });
    return callerOf(review);
  }

  #remember(key: string, caller: Caller): void {
    this.#known.delete(key);
    this.#known.set(key, { caller, untilMs: this.#now() + cacheTtlMs });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= cacheMax) break;
      this.#known.delete(oldest);
    }
  }
}

/** Reads an answered review; undefined unless it vouches for a service account and our audience. */
export function callerOf(review: TokenReview): Caller | undefined {
  const { status } = review;
  const user = status?.user;
  if (status?.authenticated !== true || user === undefined) return undefined;
  // A server that does not know audiences answers without any; it did not check ours.
  if (!(status.audiences ?? []).includes(tokenAudience)) return undefined;
  if (!(user.groups ?? []).includes('system:serviceaccounts')) return undefined;
  const [system, kind, namespace, serviceAccount, ...rest] = (user.username ?? '').split(':');
  if (system !== 'system' || kind !== 'serviceaccount' || rest.length > 0) return undefined;
  if (namespace === undefined || serviceAccount === undefined) return undefined;
  const name = user.extra?.['authentication.kubernetes.io/pod-name']?.[0];
  const uid = user.extra?.['authentication.kubernetes.io/pod-uid']?.[0];
  return {
    namespace,
    serviceAccount,
    pod: name === undefined || uid === undefined ? undefined : { name, uid },
  };
}
