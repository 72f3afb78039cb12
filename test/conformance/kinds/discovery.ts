import type { ServerUnderTest } from '../servers.js';

/** A resource as discovery describes it, on one line. */
export type ResourceLine = string;

interface AggregatedResource {
  readonly resource: string;
  readonly singularResource: string;
  readonly scope: string;
  readonly verbs: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly responseKind: { readonly kind: string };
  readonly subresources?: readonly {
    readonly subresource: string;
    readonly responseKind: { readonly group: string; readonly version: string; readonly kind: string };
    readonly verbs: readonly string[];
  }[];
}

interface AggregatedDocument {
  readonly items: readonly {
    readonly metadata: { readonly name?: string };
    readonly versions: readonly {
      readonly version: string;
      readonly resources: readonly AggregatedResource[];
    }[];
  }[];
}

const aggregated = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';

/** Aggregated discovery as lines, one for each resource and subresource, in the server's order. */
export async function aggregatedLines(server: ServerUnderTest): Promise<ResourceLine[]> {
  const lines: string[] = [];
  for (const path of ['/api', '/apis']) {
    const answer = await server.raw({ path, headers: { accept: aggregated } });
    for (const group of answer.json<AggregatedDocument>().items) {
      for (const { version, resources } of group.versions) {
        const gv = `${group.metadata.name ?? ''}/${version}`;
        for (const r of resources) {
          const names = [...(r.shortNames ?? []), ...(r.categories ?? []).map((c) => `@${c}`)].join(',');
          lines.push(
            `${gv} ${r.resource} ${r.singularResource} ${r.responseKind.kind} ${r.scope} [${names}] ${r.verbs.join(',')}`,
          );
          for (const s of r.subresources ?? []) {
            const { group: g, version: v, kind } = s.responseKind;
            lines.push(`${gv} ${r.resource}/${s.subresource} ${g}/${v} ${kind} ${s.verbs.join(',')}`);
          }
        }
      }
    }
  }
  return lines;
}

interface PlainResource {
  readonly name: string;
  readonly singularName: string;
  readonly namespaced: boolean;
  readonly kind: string;
  readonly verbs: readonly string[];
  readonly group?: string;
  readonly version?: string;
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly storageVersionHash?: string;
}

/** The unaggregated documents as lines. */
export async function plainLines(server: ServerUnderTest): Promise<ResourceLine[]> {
  const { groups } = (await server.raw({ path: '/apis' })).json<{
    groups: { name: string; versions: { groupVersion: string }[]; preferredVersion: { version: string } }[];
  }>();
  const lines = groups.map((g) => `group ${g.name} prefers ${g.preferredVersion.version}`);
  for (const gv of ['v1', ...groups.flatMap((g) => g.versions.map((v) => v.groupVersion))]) {
    const path = gv === 'v1' ? '/api/v1' : `/apis/${gv}`;
    const { resources } = (await server.raw({ path })).json<{ resources: PlainResource[] }>();
    // The order within a version means nothing to clients.
    for (const r of [...resources].sort((a, b) => (a.name < b.name ? -1 : 1))) {
      lines.push(
        `${gv} ${r.name} ${r.singularName} ${r.kind} ${r.namespaced ? 'namespaced' : 'cluster'} ${r.group ?? ''}/${r.version ?? ''} [${(r.shortNames ?? []).join(',')}] {${(r.categories ?? []).join(',')}} ${r.verbs.join(',')} ${r.storageVersionHash ?? ''}`.trimEnd(),
      );
    }
  }
  return lines;
}
