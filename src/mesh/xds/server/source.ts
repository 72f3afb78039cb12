import type { WireResource } from './resource.js';

/** Who is at the other end of a stream. */
export interface Subscriber {
  /** Node id, `type~ip~pod.namespace~domain`. */
  readonly nodeId: string;
  /** Part of the node id before the first `~`: ztunnel, waypoint, ... */
  readonly proxyType: string;
  /** String-valued node metadata. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** The resources of one type, as the server needs them. Reads are synchronous and see one consistent state. */
export interface ResourceSource {
  readonly typeUrl: string;
  /**
   * Whether a wildcard subscriber's names must be remembered in order to tell it about removals.
   * False for types whose clients accept the removal of a name they never had.
   */
  readonly tracksNames: boolean;
  /** Whether a push sends this type's removals after everything else (policies that others refer to). */
  readonly removesLast: boolean;
  /** True: an on-demand subscription is honored. False: every subscription is a wildcard. */
  readonly allowsOnDemand: boolean;
  /** Everything this subscriber may see; undefined stands for any, where all of them see the same. */
  all(subscriber: Subscriber | undefined): Iterable<WireResource>;
  /**
   * The resources a name stands for, for this subscriber: usually one, several when a service name
   * brings its workloads, none when the name is gone or not for this subscriber.
   */
  lookup(name: string, subscriber: Subscriber): readonly WireResource[];
  /**
   * Present where all wildcard subscribers see the same: the one resource of a name that a push announces, without
   * others that the name stands for. What is to come along with a changed resource is announced by its own name.
   */
  find?(name: string): WireResource | undefined;
}

/** A look-up's answer where a name stands for one resource at most. */
export function oneOrNone(found: WireResource | undefined): readonly WireResource[] {
  return found === undefined ? [] : [found];
}

/** The change that a push announces: per type URL, the names that changed, appeared or vanished. */
export type ChangedNames = ReadonlyMap<string, ReadonlySet<string>>;
