import type { ExactQuantity } from '../../../base/exact-quantity.js';
import { type JsonObject, objectOf, objectsOf } from '../../../base/json.js';
import { type Amounts, addTo, amountsOf, largest } from './amounts.js';

/**
 * What a pod takes on its node: its containers together, or what an init
 * container needs with the sidecars started before it where that is more, and
 * the overhead of its runtime.
 */
export function podAmounts(spec: JsonObject, kind: 'requests' | 'limits'): Map<string, ExactQuantity> {
  const of = (container: JsonObject): Amounts => amountsOf(objectOf(container.resources)[kind]);
  const running = new Map<string, ExactQuantity>();
  for (const container of objectsOf(spec.containers)) addTo(running, of(container));
  const sidecars = new Map<string, ExactQuantity>();
  let starting: Map<string, ExactQuantity> = new Map();
  for (const container of objectsOf(spec.initContainers)) {
    const needed = new Map(sidecars);
    addTo(needed, of(container));
    starting = largest(starting, needed);
    if (container.restartPolicy === 'Always') {
      addTo(running, of(container));
      addTo(sidecars, of(container));
    }
  }
  const total = largest(running, starting);
  const overhead = amountsOf(spec.overhead);
  for (const [name, amount] of overhead) {
    // A pod without a limit does not get one from its overhead.
    if (kind === 'requests' || total.has(name)) addTo(total, new Map([[name, amount]]));
  }
  return total;
}

/** All containers of a pod that count for resources, with where they are. */
export function containersOf(spec: JsonObject): JsonObject[] {
  return [...objectsOf(spec.initContainers), ...objectsOf(spec.containers)];
}

/** Whether nothing in a pod asks for CPU or memory or limits them. */
export function isBestEffort(spec: JsonObject): boolean {
  return containersOf(spec).every((container) =>
    ['requests', 'limits'].every((kind) => {
      const amounts = amountsOf(objectOf(container.resources)[kind]);
      return ['cpu', 'memory'].every((name) => amounts.get(name)?.isZero ?? true);
    }),
  );
}
