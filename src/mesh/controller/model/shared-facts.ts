import type { PodFacts } from '../../rules/facts.js';

/** Values held at most; then the pool starts anew, which costs memory but is never wrong. */
const sizeMax = 5_000;

/** One copy of values that come again and again, by a text that is the same for equal ones. */
class Pool<T> {
  readonly #values = new Map<string, T>();

  one(text: string, value: T): T {
    const present = this.#values.get(text);
    if (present !== undefined) return present;
    if (this.#values.size >= sizeMax) this.#values.clear();
    this.#values.set(text, value);
    return value;
  }
}

const texts = new Pool<string>();
const labelSets = new Pool<PodFacts['labels']>();
const portSets = new Pool<PodFacts['namedPorts']>();

/**
 * Facts of a pod that share with others what they have in common. Pods are by far the most numerous objects, each comes
 * with its own copy of everything, and those of one workload differ in little.
 */
export function sharedPodFacts(facts: PodFacts | undefined): PodFacts | undefined {
  if (facts === undefined) return undefined;
  const text = (of: string) => texts.one(of, of);
  return {
    ...facts,
    namespace: text(facts.namespace),
    serviceAccount: text(facts.serviceAccount),
    node: text(facts.node),
    workloadName: text(facts.workloadName),
    labels: labelSets.one(JSON.stringify(facts.labels), facts.labels),
    namedPorts: portSets.one(JSON.stringify(facts.namedPorts), facts.namedPorts),
  };
}
