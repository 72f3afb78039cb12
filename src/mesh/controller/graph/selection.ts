import { selectsLabels } from '../../rules/policy-targets.js';
import type { Collection } from './collection.js';
import { Groups } from './groups.js';
import { type Followed, type Reader, ReaderTable } from './readers.js';

type Labels = Readonly<Record<string, string>>;

/** Something with labels in a namespace. */
export interface Labeled {
  readonly namespace: string;
  readonly labels: Labels;
}

/** Chooses by equal labels, of which there is at least one. */
export interface Selector {
  /** Undefined: in every namespace. */
  readonly namespace: string | undefined;
  readonly labels: Labels;
}

/**
 * Finds the members of a collection that a selector matches, without looking at the others: those that carry the
 * selector's rarest label. Only labels that were ever selected by are indexed; what sets a pod apart from its like
 * (hashes, ordinals) costs nothing.
 */
export class LabelIndex<T extends Labeled> {
  readonly #collection: Collection<T>;
  /** By label key: keys of the members by value and namespace. */
  readonly #byLabel = new Map<string, Groups<string>>();
  readonly #countByNamespace = new Map<string, number>();

  constructor(collection: Collection<T>) {
    this.#collection = collection;
    for (const [, member] of collection.entries()) this.#count(member, 1);
    collection.onChange((key, old, value) => {
      if (old !== undefined) this.#count(old, -1);
      if (value !== undefined) this.#count(value, 1);
      for (const [label, groups] of this.#byLabel) {
        const left = groupOf(label, old);
        const joined = groupOf(label, value);
        if (left === joined) continue;
        if (left !== undefined) groups.delete(left, key);
        if (joined !== undefined) groups.add(joined, key);
      }
    });
  }

  /** Keys of the members that the selector matches. */
  *matching(selector: Selector): Iterable<string> {
    const namespaces =
      selector.namespace === undefined ? this.#countByNamespace.keys() : [selector.namespace];
    for (const namespace of namespaces) {
      for (const key of this.#rarest(namespace, selector.labels)) {
        const member = this.#collection.get(key);
        if (member !== undefined && selectsLabels(selector.labels, member.labels)) yield key;
      }
    }
  }

  #rarest(namespace: string, wanted: Labels): Iterable<string> {
    let found: Iterable<string> = [];
    let count = Number.POSITIVE_INFINITY;
    for (const [label, value] of Object.entries(wanted)) {
      const groups = this.#groupsOf(label);
      const group = groupKey(value, namespace);
      if (groups.countOf(group) >= count) continue;
      count = groups.countOf(group);
      found = groups.of(group);
    }
    return found;
  }

  #groupsOf(label: string): Groups<string> {
    const present = this.#byLabel.get(label);
    if (present !== undefined) return present;
    const groups = new Groups<string>();
    for (const [key, member] of this.#collection.entries()) {
      const group = groupOf(label, member);
      if (group !== undefined) groups.add(group, key);
    }
    this.#byLabel.set(label, groups);
    return groups;
  }

  #count({ namespace }: Labeled, by: 1 | -1): void {
    const count = (this.#countByNamespace.get(namespace) ?? 0) + by;
    if (count === 0) this.#countByNamespace.delete(namespace);
    else this.#countByNamespace.set(namespace, count);
  }
}

/**
 * Which selectors match which members. A selector that appears, changes or goes is told to the members it matches or
 * matched, and to no other.
 */
export class Selection<S> implements Followed {
  readonly #selecting: Collection<S>;
  readonly #selectorOf: (value: S) => Selector | undefined;
  /** Keys of the selecting by one of their labels: the one that fewest others are found by. */
  readonly #byLabel = new Groups<string>();
  readonly #placeOf = new Map<string, string>();
  readonly #readers = new ReaderTable();
  readonly #listeners: ((key: string) => void)[] = [];

  constructor(o: {
    readonly selecting: Collection<S>;
    /** Undefined for one that selects nothing by labels. */
    readonly selectorOf: (value: S) => Selector | undefined;
    readonly members: { matching(selector: Selector): Iterable<string> };
  }) {
    this.#selecting = o.selecting;
    this.#selectorOf = o.selectorOf;
    for (const [key, value] of o.selecting.entries()) this.#place(key, o.selectorOf(value));
    o.selecting.onChange((key, old, value) => {
      const selectors = [old, value].map((of) => (of === undefined ? undefined : o.selectorOf(of)));
      this.#place(key, selectors[1]);
      const told = new Set<string>();
      for (const selector of selectors) {
        if (selector !== undefined) for (const member of o.members.matching(selector)) told.add(member);
      }
      for (const member of told) {
        for (const listener of this.#listeners) listener(member);
        this.#readers.markStale(member);
      }
    });
  }

  /** What selects the member of that key; the reader is told when it changes while the member stays as it is. */
  get(key: string, member: Labeled, reader?: Reader): S[] {
    if (reader !== undefined && !reader.follows(this, key)) this.#readers.add(key, reader);
    const found: S[] = [];
    for (const [label, value] of Object.entries(member.labels)) {
      for (const namespace of [member.namespace, undefined]) {
        for (const candidate of this.#byLabel.of(placeKey(label, value, namespace))) {
          const selecting = this.#selecting.get(candidate);
          const selector = selecting === undefined ? undefined : this.#selectorOf(selecting);
          if (
            selecting !== undefined &&
            selector !== undefined &&
            selectsLabels(selector.labels, member.labels)
          ) {
            found.push(selecting);
          }
        }
      }
    }
    return found;
  }

  onKeyChange(listener: (key: string) => void): void {
    this.#listeners.push(listener);
  }

  #place(key: string, selector: Selector | undefined): void {
    const before = this.#placeOf.get(key);
    if (before !== undefined) this.#byLabel.delete(before, key);
    this.#placeOf.delete(key);
    let place: string | undefined;
    for (const [label, value] of Object.entries(selector?.labels ?? {})) {
      const candidate = placeKey(label, value, selector?.namespace);
      if (place === undefined || this.#byLabel.countOf(candidate) < this.#byLabel.countOf(place))
        place = candidate;
    }
    if (place === undefined) return;
    this.#placeOf.set(key, place);
    this.#byLabel.add(place, key);
  }
}

// Neither label values nor namespaces hold a slash.

function groupKey(value: string, namespace: string): string {
  return `${value}/${namespace}`;
}

function groupOf(label: string, member: Labeled | undefined): string | undefined {
  const value = member?.labels[label];
  return member === undefined || value === undefined ? undefined : groupKey(value, member.namespace);
}

function placeKey(label: string, value: string, namespace: string | undefined): string {
  return `${namespace ?? ''}/${value}/${label}`;
}
