import type { RemoteApi, RemoteApis } from '../aggregation/remote-apis.js';
import type { RemoteDiscovery } from '../aggregation/remote-discovery.js';
import type { JsonObject } from '../../base/json.js';
import { type Registry, versionRank } from '../registry/registry.js';
import { groupPriorityOf } from './priorities.js';

/** A version of a group, and who answers for it when it is another server. */
export interface ServedVersion {
  readonly version: string;
  readonly remote: RemoteApi | undefined;
}

/** The groups that clients find here: those of this server and those of the servers behind it. */
export class ServedGroups {
  readonly #registry: Registry;
  readonly #remotes: RemoteApis;
  readonly #discovery: RemoteDiscovery;

  constructor(registry: Registry, remotes: RemoteApis, discovery: RemoteDiscovery) {
    this.#registry = registry;
    this.#remotes = remotes;
    this.#discovery = discovery;
  }

  /** The groups without the core group, the more important ones first. */
  names(): string[] {
    const own = this.#registry.groups();
    const remotes = this.#remotes.all();
    if (remotes.length === 0) return own;
    const priority = (group: string): number =>
      Math.max(
        own.includes(group) ? groupPriorityOf(group)[0] : 0,
        ...remotes.filter((r) => r.group === group).map((r) => r.groupPriority),
      );
    const all = [...new Set([...own, ...remotes.map((r) => r.group)])];
    return all.sort((a, b) => priority(b) - priority(a));
  }

  /** The versions of a group, the preferred one first. */
  versions(group: string): ServedVersion[] {
    const remotes = this.#remotes.all().filter((r) => r.group === group);
    const own = this.#registry
      .versions(group)
      .filter((version) => !remotes.some((r) => r.version === version))
      .map((version) => ({ version, remote: undefined }));
    if (remotes.length === 0) return own;
    const priority = ({ remote }: ServedVersion): number =>
      remote?.versionPriority ?? groupPriorityOf(group)[1];
    return [...own, ...remotes.map((remote) => ({ version: remote.version, remote }))].sort(
      (a, b) => priority(b) - priority(a) || versionRank(b.version) - versionRank(a.version),
    );
  }

  /** The entry of aggregated discovery for a version that another server answers for. */
  documentOf(remote: RemoteApi): JsonObject {
    return this.#discovery.version(remote);
  }
}
