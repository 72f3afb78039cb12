import { createHash } from 'node:crypto';
import type { Json, JsonObject } from '../../base/json.js';
import { apiVersionOf } from '#base/kube/resource.js';
import type { Registry } from '../registry/registry.js';
import { type ServedResource, standardVerbs } from '../registry/resource.js';
import type { ServedGroups } from './served-groups.js';

/** The Kubernetes version whose API this server speaks. */
export const kubernetesVersion = { major: '1', minor: '32', gitVersion: 'v1.32.4+meshctl-sandbox' } as const;

/** The document behind /version. */
export function versionDocument(): JsonObject {
  return {
    ...kubernetesVersion,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '2025-01-01T00:00:00Z',
    goVersion: `node ${process.version}`,
    compiler: 'node',
    platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  };
}

interface SubresourceRow {
  readonly name: string;
  readonly kind: string;
  readonly group: string;
  readonly version: string;
  readonly verbs: readonly string[];
}

/** The subresources of a resource, by name. */
export function subresourcesOf(r: ServedResource): SubresourceRow[] {
  const rows: SubresourceRow[] = Object.entries(r.subresources).map(([name, info]) => ({
    name,
    kind: info.kind,
    group: info.group ?? r.group,
    version: info.version ?? r.version,
    verbs: info.verbs,
  }));
  const ordinary = ['get', 'patch', 'update'];
  if (r.scale !== undefined) {
    rows.push({ name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: ordinary });
  }
  if (r.hasStatus)
    rows.push({ name: 'status', kind: r.kind, group: r.group, version: r.version, verbs: ordinary });
  return rows.sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Discovery documents: which groups, versions and resources are served. */
export class Discovery {
  readonly #registry: Registry;
  readonly #groups: ServedGroups;
  readonly #serverAddress: string;

  constructor(registry: Registry, groups: ServedGroups, serverAddress: string) {
    this.#registry = registry;
    this.#groups = groups;
    this.#serverAddress = serverAddress;
  }

  /** The document at a discovery path; undefined when there is none. */
  document(path: string, accept: string | undefined): { body: Json; contentType: string } | undefined {
    const parts = path.split('/').filter((p) => p !== '');
    const wantsAggregated =
      /g=apidiscovery\.k8s\.io/.test(accept ?? '') && /as=APIGroupDiscoveryList/.test(accept ?? '');
    const plain = (body: Json | undefined) =>
      body === undefined ? undefined : { body, contentType: 'application/json' };
    if (parts[0] === 'api') {
      if (parts.length === 1)
        return wantsAggregated ? this.#aggregated(true, accept) : plain(this.#coreVersions());
      return parts.length === 2 ? plain(this.#resourceList('', parts[1] ?? '')) : undefined;
    }
    if (parts[0] !== 'apis') return undefined;
    if (parts.length === 1) {
      return wantsAggregated ? this.#aggregated(false, accept) : plain(this.#groupList());
    }
    if (parts.length === 2) return plain(this.#group(parts[1] ?? ''));
    return parts.length === 3 ? plain(this.#resourceList(parts[1] ?? '', parts[2] ?? '')) : undefined;
  }

  #coreVersions(): JsonObject {
    return {
      kind: 'APIVersions',
      versions: ['v1'],
      serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: this.#serverAddress }],
    };
  }

  #groupBody(group: string): JsonObject {
    const versions = this.#groups
      .versions(group)
      .map(({ version }) => ({ groupVersion: `${group}/${version}`, version }));
    return { name: group, versions, preferredVersion: versions[0] ?? {} };
  }

  #group(group: string): JsonObject | undefined {
    if (!this.#groups.names().includes(group)) return undefined;
    return { kind: 'APIGroup', apiVersion: 'v1', ...this.#groupBody(group) };
  }

  #groupList(): JsonObject {
    return {
      kind: 'APIGroupList',
      apiVersion: 'v1',
      groups: this.#groups.names().map((g) => this.#groupBody(g)),
    };
  }

  #resources(group: string, version: string): ServedResource[] {
    return this.#registry.all().filter((r) => r.group === group && r.version === version);
  }

  #resourceList(group: string, version: string): JsonObject | undefined {
    const resources = this.#resources(group, version);
    if (resources.length === 0) return undefined;
    const items: JsonObject[] = [];
    for (const r of resources) {
      items.push({
        name: r.plural,
        singularName: r.singular,
        namespaced: r.namespaced,
        kind: r.kind,
        verbs: [...(r.verbs ?? standardVerbs)],
        ...(r.shortNames.length > 0 ? { shortNames: [...r.shortNames] } : {}),
        ...(r.categories.length > 0 ? { categories: [...r.categories] } : {}),
        ...(isStored(r) ? { storageVersionHash: storageVersionHash(r) } : {}),
      });
      for (const s of subresourcesOf(r)) {
        const isForeign = s.group !== r.group || s.version !== r.version;
        items.push({
          name: `${r.plural}/${s.name}`,
          singularName: '',
          namespaced: r.namespaced,
          ...(isForeign ? { group: s.group, version: s.version } : {}),
          kind: s.kind,
          verbs: [...s.verbs],
        });
      }
    }
    return {
      kind: 'APIResourceList',
      apiVersion: 'v1',
      groupVersion: apiVersionOf({ group, version }),
      resources: items,
    };
  }

  #aggregated(isCore: boolean, accept: string | undefined): { body: Json; contentType: string } {
    const version = /v=v2(;|,|$)/.test(accept ?? '') ? 'v2' : 'v2beta1';
    const groups = isCore ? [''] : this.#groups.names();
    return {
      contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
      body: {
        kind: 'APIGroupDiscoveryList',
        apiVersion: `apidiscovery.k8s.io/${version}`,
        metadata: {},
        items: groups.map((group) => ({
          metadata: { name: group, creationTimestamp: null },
          versions: this.#groups.versions(group).map(({ version: v, remote }) =>
            remote === undefined
              ? {
                  version: v,
                  freshness: 'Current',
                  resources: this.#resources(group, v).map(aggregatedResource),
                }
              : this.#groups.documentOf(remote),
          ),
        })),
      },
    };
  }
}

/** Whether there are objects of the resource to be watched, rather than answers made on demand. */
function isStored(r: ServedResource): boolean {
  return (r.verbs ?? standardVerbs).includes('watch');
}

/** By which clients see that objects came to be stored in another version. */
function storageVersionHash(r: ServedResource): string {
  const [version = '', group = ''] = (r.storageVersion ?? apiVersionOf(r)).split('/').reverse();
  return createHash('sha256')
    .update(`${group}/${version}/${r.kind}`)
    .digest()
    .subarray(0, 8)
    .toString('base64');
}

function aggregatedResource(r: ServedResource): JsonObject {
  return {
    resource: r.plural,
    responseKind: { group: r.group, version: r.version, kind: r.kind },
    scope: r.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: r.singular,
    verbs: [...(r.verbs ?? standardVerbs)],
    ...(r.shortNames.length > 0 ? { shortNames: [...r.shortNames] } : {}),
    ...(r.categories.length > 0 ? { categories: [...r.categories] } : {}),
    subresources: subresourcesOf(r).map((s) => ({
      subresource: s.name,
      responseKind: ofSubresource(r, s),
      verbs: [...s.verbs],
    })),
  };
}

/** The type that a subresource answers with. Built-in kinds leave out a group and version that is their own. */
function ofSubresource(r: ServedResource, s: SubresourceRow): JsonObject {
  const isOwn = !r.isCustom && s.group === r.group && s.version === r.version;
  return { group: isOwn ? '' : s.group, version: isOwn ? '' : s.version, kind: s.kind };
}
