import type { Subscriber } from './source.js';

/** The pod in a node id, `type~ip~pod.namespace~domain`; `id` is undefined in one of fewer parts. */
export function podOfNode({ nodeId }: Subscriber): {
  readonly id: string | undefined;
  readonly namespace: string;
} {
  const [, , id] = nodeId.split('~');
  // Names of pods may hold dots, names of namespaces cannot.
  return { id, namespace: id?.slice(id.lastIndexOf('.') + 1) ?? '' };
}
