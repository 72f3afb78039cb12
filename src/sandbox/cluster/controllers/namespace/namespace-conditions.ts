import type { Condition } from '#base/kube/types.js';
import type { RemainingContent } from './namespace-content.js';

/** The conditions of a namespace that is being emptied, with upstream's types, reasons and messages. */
export function terminationConditions(
  current: readonly Condition[],
  o: {
    readonly remaining: RemainingContent;
    readonly discoveryFailure: string | undefined;
    readonly now: Date;
  },
): Condition[] {
  const { counts, finalizers, failures } = o.remaining;
  const listed = (entries: ReadonlyMap<string, number>, word: string): string =>
    [...entries]
      .toSorted(([a], [b]) => a.localeCompare(b))
      .map(([name, count]) => `${name} ${word} ${count} resource instances`)
      .join(', ');
  const facts: readonly (readonly [
    type: string,
    bad: readonly [string, string] | undefined,
    good: readonly [string, string],
  ])[] = [
    [
      'NamespaceDeletionDiscoveryFailure',
      o.discoveryFailure === undefined ? undefined : ['DiscoveryFailed', o.discoveryFailure],
      ['ResourcesDiscovered', 'All resources successfully discovered'],
    ],
    [
      'NamespaceDeletionGroupVersionParsingFailure',
      undefined,
      ['ParsedGroupVersions', 'All legacy kube types successfully parsed'],
    ],
    [
      'NamespaceDeletionContentFailure',
      failures.length === 0
        ? undefined
        : [
            'ContentDeletionFailed',
            `Failed to delete all resource types, ${failures.length} remaining: ${failures.toSorted().join(', ')}`,
          ],
      [
        'ContentDeleted',
        counts.size === 0
          ? 'All content successfully deleted'
          : 'All content successfully deleted, may be waiting on finalization',
      ],
    ],
    [
      'NamespaceContentRemaining',
      counts.size === 0
        ? undefined
        : ['SomeResourcesRemain', `Some resources are remaining: ${listed(counts, 'has')}`],
      ['ContentRemoved', 'All content successfully removed'],
    ],
    [
      'NamespaceFinalizersRemaining',
      finalizers.size === 0
        ? undefined
        : [
            'SomeFinalizersRemain',
            `Some content in the namespace has finalizers remaining: ${listed(finalizers, 'in')}`,
          ],
      ['ContentHasNoFinalizers', 'All content-preserving finalizers finished'],
    ],
  ];
  const others = current.filter((c) => !facts.some(([type]) => type === c.type));
  return [
    ...others,
    ...facts.map(([type, bad, good]): Condition => {
      const status = bad === undefined ? 'False' : 'True';
      const [reason, message] = bad ?? good;
      const before = current.find((c) => c.type === type);
      const since =
        before?.status === status ? before.lastTransitionTime : `${o.now.toISOString().slice(0, 19)}Z`;
      return { type, status, reason, message, ...(since === undefined ? {} : { lastTransitionTime: since }) };
    }),
  ];
}
