/** How often and when a failed request is tried again. */
export interface RetryPolicy {
  /** Tries after the first one. */
  readonly retriesMax: number;
  /** First back-off; later ones grow to ten times as much, each drawn at random below its limit. */
  readonly backoffBaseMs: number;
}

/** How a request is sent on. */
export interface Route {
  readonly name: string;
  readonly retry: RetryPolicy;
}

/** The route of a request nobody wrote a rule about. */
export const defaultRoute: Route = { name: 'default', retry: { retriesMax: 2, backoffBaseMs: 25 } };

/** Back-off before the n-th retry (from 1): uniform up to (2^n - 1) times the base, at most ten times it. */
export function backoffMs({ backoffBaseMs }: RetryPolicy, retry: number, random: number): number {
  return random * Math.min((2 ** retry - 1) * backoffBaseMs, 10 * backoffBaseMs);
}
