import { canonicalJson } from '../controllers/template-hash.js';
import type { IpFamily } from '#base/net/address.js';
import { podEntries, isInPodSet, type PodSetSpec, type PolicyPod, setId } from './pod-set.js';

interface IndexedSet {
  readonly spec: PodSetSpec;
  readonly pods: Set<string>;
  version: number;
  /** How many holders asked for it. */
  holders: number;
}

/**
 * Which pods belong to which sets, kept up to date pod by pod: a changed pod is
 * compared with every distinct selector once, however many policies and nodes use it.
 */
export class PodSetIndex {
  readonly #sets = new Map<string, IndexedSet>();
  readonly #pods = new Map<string, PolicyPod>();
  readonly #namespaces = new Map<string, Readonly<Record<string, string>>>();
  #clock = 0;

  /** Starts to follow a set. Each call needs one {@link release}. */
  hold(spec: PodSetSpec): void {
    const id = setId(spec);
    const known = this.#sets.get(id);
    if (known !== undefined) {
      known.holders++;
      return;
    }
    const pods = new Set<string>();
    for (const pod of this.#pods.values()) if (this.#matches(spec, pod)) pods.add(pod.uid);
    this.#sets.set(id, { spec, pods, version: ++this.#clock, holders: 1 });
  }

  release(spec: PodSetSpec): void {
    const id = setId(spec);
    const known = this.#sets.get(id);
    if (known !== undefined && --known.holders <= 0) this.#sets.delete(id);
  }

  /** A pod came, changed or (undefined) went. Returns whether any set changed. */
  setPod(uid: string, pod: PolicyPod | undefined): boolean {
    const old = this.#pods.get(uid);
    if (canonicalJson(old ?? null) === canonicalJson(pod ?? null)) return false;
    if (pod === undefined) this.#pods.delete(uid);
    else this.#pods.set(uid, pod);
    return this.#place(uid, pod);
  }

  /** A namespace's labels changed, or it went. Returns whether any set changed. */
  setNamespace(name: string, labels: Readonly<Record<string, string>> | undefined): boolean {
    const old = this.#namespaces.get(name);
    if (canonicalJson(old ?? null) === canonicalJson(labels ?? null)) return false;
    if (labels === undefined) this.#namespaces.delete(name);
    else this.#namespaces.set(name, labels);
    let isChanged = false;
    for (const pod of this.#pods.values())
      if (pod.namespace === name && this.#place(pod.uid, pod)) isChanged = true;
    return isChanged;
  }

  /** Grows with every change of the set; 0 when nobody holds it. */
  version(spec: PodSetSpec): number {
    return this.#sets.get(setId(spec))?.version ?? 0;
  }

  /** The entries of a held set, of a family, for one node. */
  entries(spec: PodSetSpec, family: IpFamily, node: string): string[] {
    const found = new Set<string>();
    for (const uid of this.#sets.get(setId(spec))?.pods ?? []) {
      const pod = this.#pods.get(uid);
      if (pod === undefined || (spec.isLocal && pod.node !== node)) continue;
      for (const entry of podEntries(spec, pod, family)) found.add(entry);
    }
    return [...found];
  }

  #place(uid: string, pod: PolicyPod | undefined): boolean {
    let isChanged = false;
    for (const set of this.#sets.values()) {
      const belongs = pod !== undefined && this.#matches(set.spec, pod);
      // A member that only changed its address or ports changes the set too.
      if (!belongs && !set.pods.has(uid)) continue;
      if (belongs) set.pods.add(uid);
      else set.pods.delete(uid);
      set.version = ++this.#clock;
      isChanged = true;
    }
    return isChanged;
  }

  #matches(spec: PodSetSpec, pod: PolicyPod): boolean {
    return isInPodSet(spec, pod, this.#namespaces.get(pod.namespace));
  }
}
