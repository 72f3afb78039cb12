import { encodeEntries, type WireResource } from './resource.js';
import type { ChangedNames, ResourceSource } from './source.js';

/** What every wildcard subscriber of a type gets alike: looked up once, encoded once. */
export interface SharedAnswer {
  readonly resources: readonly WireResource[];
  /** Names that are gone; whether a subscriber must be told of each is its own matter. */
  readonly removed: readonly string[];
  /** The resources as they stand in a response. */
  readonly encoded: Buffer;
}

/** A change announced to every stream. Its answers are of the state at which the first stream asked for them. */
export class Push {
  readonly changed: ChangedNames;
  readonly #answers = new Map<string, SharedAnswer>();

  constructor(changed: ChangedNames) {
    this.changed = changed;
  }

  /** All of several pushes at once, of the state as it is now. */
  static merge(pushes: readonly Push[]): Push {
    const [only] = pushes;
    if (only !== undefined && pushes.length === 1) return only;
    const merged = new Map<string, Set<string>>();
    for (const { changed } of pushes) {
      for (const [typeUrl, names] of changed) {
        const all = merged.get(typeUrl) ?? new Set<string>();
        for (const name of names) all.add(name);
        merged.set(typeUrl, all);
      }
    }
    return new Push(merged);
  }

  /** The answer for wildcard subscribers; undefined where it is not the same for all of them. */
  shared(source: ResourceSource): SharedAnswer | undefined {
    if (source.find === undefined) return undefined;
    const present = this.#answers.get(source.typeUrl);
    if (present !== undefined) return present;
    const resources: WireResource[] = [];
    const removed: string[] = [];
    for (const name of this.changed.get(source.typeUrl) ?? []) {
      const resource = source.find(name);
      if (resource === undefined) removed.push(name);
      else resources.push(resource);
    }
    const answer = { resources, removed, encoded: encodeEntries(resources) };
    this.#answers.set(source.typeUrl, answer);
    return answer;
  }
}

/** A complete state nobody asked for lately is let go after this, in milliseconds. */
const releaseMs = 5_000;

/**
 * The complete state of a type for those who come with nothing, encoded once for all that come while it lasts: after a
 * restart that is every proxy of the mesh at once.
 */
export class CompleteStates {
  readonly #currentVersion: () => string;
  readonly #states = new Map<string, { readonly version: string; readonly answer: SharedAnswer }>();
  #release: NodeJS.Timeout | undefined;

  constructor(currentVersion: () => string) {
    this.#currentVersion = currentVersion;
  }

  /** Undefined where the state is not the same for all wildcard subscribers. */
  of(source: ResourceSource): SharedAnswer | undefined {
    if (source.find === undefined) return undefined;
    const version = this.#currentVersion();
    const present = this.#states.get(source.typeUrl);
    if (present?.version === version) return present.answer;
    const resources = [...source.all(undefined)];
    const answer = { resources, removed: [], encoded: encodeEntries(resources) };
    this.#states.set(source.typeUrl, { version, answer });
    clearTimeout(this.#release);
    this.#release = setTimeout(() => this.#states.clear(), releaseMs).unref();
    return answer;
  }
}
