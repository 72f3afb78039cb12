import type { PodFacts } from '../../rules/facts.js';
import type { Collection } from '../graph/collection.js';
import type { PodDirectory } from './node-authorizer.js';

/** Finds pods by name and by where their identity lives. */
export function createPodDirectory(pods: Collection<PodFacts>): PodDirectory {
  const byNode = pods.index(({ node }) => (node === '' ? [] : [node]));
  return {
    pod: (namespace, name) => pods.get(`${namespace}/${name}`),
    runsOn: ({ namespace, serviceAccount, node }) =>
      byNode.get(node).some((pod) => pod.namespace === namespace && pod.serviceAccount === serviceAccount),
  };
}
