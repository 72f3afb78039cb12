import { apiVersionOf } from '#base/kube/resource.js';
import type { ServedResource } from './resource.js';

/** The resources the server serves right now: the built-in table plus what CRDs add and remove. */
export class Registry {
  readonly #byPath = new Map<string, ServedResource>();
  readonly #preferred = new Map<string, string>();
  #generation = 0;

  /** Counts changes, so that derived documents (discovery, OpenAPI) know when they are stale. */
  get generation(): number {
    return this.#generation;
  }

  add(resource: ServedResource): void {
    this.#byPath.set(`${apiVersionOf(resource)}/${resource.plural}`, resource);
    this.#generation++;
  }

  remove(group: string, plural: string): void {
    for (const [path, r] of this.#byPath) {
      if (r.group === group && r.plural === plural) this.#byPath.delete(path);
    }
    this.#generation++;
  }

  find(group: string, version: string, plural: string): ServedResource | undefined {
    return this.#byPath.get(`${apiVersionOf({ group, version })}/${plural}`);
  }

  /** Whether anything built in is served in a version of a group. */
  hasBuiltinVersion(group: string, version: string): boolean {
    return this.all().some((r) => !r.isCustom && r.group === group && r.version === version);
  }

  /** The first served version of a resource. */
  findAnyVersion(group: string, plural: string): ServedResource | undefined {
    return this.all().find((r) => r.group === group && r.plural === plural);
  }

  findKind(apiVersion: string, kind: string): ServedResource | undefined {
    return this.all().find((r) => r.kind === kind && apiVersionOf(r) === apiVersion);
  }

  /** The resource whose objects a storage key holds, in any version. */
  findStorage(storage: string): ServedResource | undefined {
    return this.all().find((r) => r.storage === storage);
  }

  all(): ServedResource[] {
    return [...this.#byPath.values()];
  }

  /** Groups in the order they appeared, without the core group. */
  groups(): string[] {
    return [...new Set(this.all().map((r) => r.group))].filter((g) => g !== '');
  }

  /** Versions of a group, best first: GA before beta before alpha, higher before lower. */
  versions(group: string): string[] {
    const versions = [
      ...new Set(
        this.all()
          .filter((r) => r.group === group)
          .map((r) => r.version),
      ),
    ];
    const preferred = this.#preferred.get(group);
    return versions.sort((a, b) => {
      if (a === preferred) return -1;
      if (b === preferred) return 1;
      return versionRank(b) - versionRank(a);
    });
  }
}

/** Kubernetes' version order as one number: v2 > v1 > v2beta1 > v1beta2 > v1alpha1 > anything else. */
export function versionRank(version: string): number {
  const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(version);
  if (match === null) return -1;
  const stage = match[2] === undefined ? 2 : match[2] === 'beta' ? 1 : 0;
  return stage * 1e9 + Number(match[1]) * 1e4 + Number(match[3] ?? 0);
}
