import type { PodFacts } from '../../rules/facts.js';

/** Strings held at most; then the pool starts anew, which costs memory but is never wrong. */
const sizeMax = 20_000;

/**
 * One copy of strings that come again and again: each object the API server sends has its own copy of the name of its
 * node, its account and its labels' values.
 */
class StringPool {
  readonly #strings = new Map<string, string>();

  /** The same text, in the copy that others have. */
  one(text: string): string {
    const present = this.#strings.get(text);
    if (present !== undefined) return present;
    if (this.#strings.size >= sizeMax) this.#strings.clear();
    this.#strings.set(text, text);
    return text;
  }

  /** The same map with values of the pool. */
  values(map: Readonly<Record<string, string>>): Record<string, string> {
    const pooled: Record<string, string> = {};
    for (const [key, value] of Object.entries(map)) pooled[key] = this.one(value);
    return pooled;
  }
}

const podStrings = new StringPool();

/** Facts of a pod in strings of the pool: pods are by far the most numerous, and have most of theirs in common. */
export function pooledPodFacts(facts: PodFacts | undefined): PodFacts | undefined {
  if (facts === undefined) return undefined;
  const { namespace, labels, serviceAccount, node, workloadName } = facts;
  return {
    ...facts,
    namespace: podStrings.one(namespace),
    labels: podStrings.values(labels),
    serviceAccount: podStrings.one(serviceAccount),
    node: podStrings.one(node),
    workloadName: podStrings.one(workloadName),
  };
}
