import { isNotFound } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { groupVersionOf, type Resource } from '#base/kube/resource.js';

/** A kind the API server serves, in one version. */
export interface DiscoveredResource extends Resource {
  readonly verbs: readonly string[];
}

/** What the API server serves at one moment. */
export interface ServedResources {
  /** Every kind in every version; the preferred version of a kind comes first. */
  readonly all: readonly DiscoveredResource[];
  /** Each kind once, in the version the server prefers. */
  readonly preferred: readonly DiscoveredResource[];
  /** `group/version` whose own server did not answer: what it serves is not known. */
  readonly unknown: readonly string[];
}

interface GroupDiscovery {
  metadata: { name?: string };
  versions?: {
    version: string;
    freshness?: string;
    resources?: {
      resource: string;
      responseKind?: { kind?: string };
      scope: 'Namespaced' | 'Cluster';
      verbs: string[];
    }[];
  }[];
}

const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** Asks the API server what it serves (aggregated discovery; Kubernetes 1.30 or newer). */
export async function discoverResources(client: KubeClient, signal?: AbortSignal): Promise<ServedResources> {
  const documents = await Promise.all(
    ['/api', '/apis'].map((path) =>
      client.request<{ items?: GroupDiscovery[] }>({ method: 'GET', path, accept, signal }),
    ),
  );
  const all: DiscoveredResource[] = [];
  const unknown: string[] = [];
  for (const group of documents.flatMap((d) => d.items ?? [])) {
    const name = group.metadata.name ?? '';
    for (const { version, freshness, resources = [] } of group.versions ?? []) {
      if (freshness === 'Stale') unknown.push(name === '' ? version : `${name}/${version}`);
      for (const r of resources) {
        all.push({
          group: name,
          version,
          plural: r.resource,
          kind: r.responseKind?.kind ?? '',
          isNamespaced: r.scope === 'Namespaced',
          verbs: r.verbs,
        });
      }
    }
  }
  const preferred = new Map<string, DiscoveredResource>();
  for (const r of all) if (!preferred.has(resourceId(r))) preferred.set(resourceId(r), r);
  return { all, preferred: [...preferred.values()], unknown };
}

/** The resource of a kind in the version of a reference, or in any other of its group. */
export function resourceOfKind(
  { all }: ServedResources,
  of: { readonly apiVersion: string; readonly kind: string },
): DiscoveredResource | undefined {
  const { group, version } = groupVersionOf(of.apiVersion);
  const ofKind = all.filter((r) => r.group === group && r.kind === of.kind);
  return ofKind.find((r) => r.version === version) ?? ofKind[0];
}

/** Names a kind's resource whatever its version: `group/plural`. */
export function resourceId(r: Pick<Resource, 'group' | 'plural'>): string {
  return `${r.group}/${r.plural}`;
}

/**
 * Whether a 404 means that the object is absent, and not that its kind is not
 * served: the server then names the object it did not find.
 */
export function isObjectAbsent(error: unknown, name: string): boolean {
  return isNotFound(error) && (error as { details?: { name?: string } }).details?.name === name;
}
