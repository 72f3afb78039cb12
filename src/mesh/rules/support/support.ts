import type { Resource } from '#base/kube/resource.js';

/**
 * What becomes of something a user may write:
 * - honored: it does what its documentation says
 * - refused: leaving it out would leave open, or break, what it asks for; install refuses it, status says so
 * - ignored: nothing acts on it, and whoever writes it is told
 */
export type Treatment = 'honored' | 'refused' | 'ignored';

/** A value of YAML or JSON. */
export type SupportJson =
  | string
  | number
  | boolean
  | null
  | readonly SupportJson[]
  | { readonly [key: string]: SupportJson };

/** What is done about one field, option, kind, label or annotation. */
export interface Support {
  readonly treatment: Treatment;
  /** Honored: the first version that does. */
  readonly since?: string;
  /** Refused or ignored: what is missing, and what to do instead; a clause without a capital. */
  readonly why?: string;
  /** Refused or ignored: values that ask for what happens anyway, so that nobody needs to be told. */
  readonly harmless?: readonly SupportJson[];
  /** Honored with everything below it: handed on as it is to whom it concerns, such as Kubernetes. */
  readonly isWhole?: true;
  /** A mesh option: when running components act on a change. */
  readonly takenUp?: 'live' | 'restart';
  /** A part of a policy: who enforces it. */
  readonly at?: readonly ('ztunnel' | 'waypoint')[];
}

/**
 * Support by path: names joined by dots, `[]` for the elements of a list, `*` for the keys of a map. A refused or
 * ignored path speaks for everything below it that has no row of its own.
 */
export type SupportTable = Readonly<Record<string, Support>>;

/** A kind of object, and the fields of its `spec`. */
export interface KindSupport extends Support {
  readonly resource: Resource;
  /** Of `spec`; absent when the kind as a whole is not honored. */
  readonly fields?: SupportTable;
}

/** The version of this project that is being made, for rows of what is new in it. */
const firstVersion = '0.1.0';

/** A row for what the first version honors. */
export function honored(
  more: Pick<Support, 'at' | 'takenUp' | 'isWhole' | 'why'> & { readonly since?: string } = {},
): Support {
  return { treatment: 'honored', since: firstVersion, ...more };
}

/** A row for what is refused, but for the `harmless` values. */
export function refused(why: string, ...harmless: readonly SupportJson[]): Support {
  return { treatment: 'refused', why, ...(harmless.length === 0 ? {} : { harmless }) };
}

/** A row for what nothing acts on, but for the `harmless` values. */
export function ignored(why: string, ...harmless: readonly SupportJson[]): Support {
  return { treatment: 'ignored', why, ...(harmless.length === 0 ? {} : { harmless }) };
}
