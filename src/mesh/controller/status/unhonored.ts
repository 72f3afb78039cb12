import { whyUnhonored } from '../../rules/support/kinds.js';
import type { Collection } from '../graph/collection.js';
import type { Graph } from '../graph/graph.js';
import { type Inputs, statusKey } from '../model/inputs.js';
import { type KindName, kinds, type UnhonoredKind, unhonoredKinds } from '../model/kinds.js';
import type { UnhonoredFacts } from '../model/object-facts.js';
import type { DesiredStatus } from './desired-status.js';

/** What to say of objects that nothing acts on: that, and why. One collection for each kind. */
export function createUnhonoredStatuses(graph: Graph, inputs: Inputs): readonly Collection<DesiredStatus>[] {
  return unhonoredKinds.map((kind) =>
    graph.derive<UnhonoredFacts, DesiredStatus>({
      name: 'unhonored-statuses',
      from: inputs[kind],
      compute: (facts) => [statusOf(kind, facts)],
    }),
  );
}

function statusOf(kind: UnhonoredKind, facts: UnhonoredFacts): { key: string; value: DesiredStatus } {
  const { namespace, name, generation } = facts;
  const accepted = {
    type: 'Accepted',
    status: 'False',
    reason: 'NotSupported',
    message: unhonoredMessage(kind),
    observedGeneration: generation,
  } as const;
  return {
    key: statusKey(kind, `${namespace}/${name}`),
    value: { kind, namespace, name, conditions: [accepted] },
  };
}

/** In words, for a condition. */
export function unhonoredMessage(kind: KindName): string {
  const { resource } = kinds[kind];
  return `nothing in the mesh acts on it: ${whyUnhonored(resource) ?? ''}`;
}
