import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { configMaps } from '#base/kube/resource.js';
import type { ConfigMap } from '#base/kube/types.js';
import { defaultMeshConfig, type MeshConfig, meshConfigMap, parseMeshConfig } from '../rules/mesh-config.js';
import type { MeshNames } from '../rules/trust-domain.js';
import { mergeValues, type ValueMap } from '../templates/values.js';
import type { Inventory } from './apply/inventory.js';

/** A running mesh that gets another trust domain. */
export interface TrustDomainChange {
  readonly from: string;
  readonly to: string;
  /** The values of the step before: identities are of the old domain still, and those of both are accepted. */
  readonly preparation: ValueMap;
}

/**
 * What a running mesh has to go through to get the trust domain of `spec`; undefined when it keeps its own. Proxies
 * are replaced one by one, so for a while identities of both domains meet, and policies name either: the old domain
 * has to be an alias of the new one. Then no call fails: first every proxy learns to accept both, then names change.
 * @throws MESH0322 when the old domain is no alias
 */
export function planTrustDomainChange(
  running: MeshNames | undefined,
  spec: ValueMap,
): TrustDomainChange | undefined {
  if (running === undefined) return undefined;
  const wanted = meshNamesOf({ spec });
  const [from, to] = [running.trustDomain, wanted.trustDomain];
  if (from === to) return undefined;
  if (!wanted.trustDomainAliases.includes(from)) throw notAnAlias({ from, to }, wanted);
  const aliases = new Set([...running.trustDomainAliases, ...wanted.trustDomainAliases, to]);
  aliases.delete(from);
  const meshConfig = { trustDomain: from, trustDomainAliases: [...aliases] };
  return { from, to, preparation: mergeValues(spec, { meshConfig }) };
}

function notAnAlias({ from, to }: { from: string; to: string }, wanted: MeshNames): MeshError {
  const aliases = [from, ...wanted.trustDomainAliases].join(',');
  return new MeshError(
    'MESH0322',
    `the running mesh has trust domain ${from}: ${to} alone would cut off every proxy that has not changed yet`,
    {
      evidence: `policies that name principals of ${from} would match nobody any more`,
      hint: `Keep the old one as an alias: --set meshConfig.trustDomain=${to} --set "meshConfig.trustDomainAliases={${aliases}}". Install then changes it without a failed call. Remove the alias with a later install, when no policy names ${from}.`,
    },
  );
}

/** What a mesh with these values calls itself. */
export function meshNamesOf({ spec }: { readonly spec: ValueMap }): MeshNames {
  return parseMeshConfig(JSON.stringify(spec['meshConfig'] ?? {}), defaultMeshConfig(''));
}

/** What the running mesh calls itself; undefined when none runs. */
export async function runningNames(
  client: KubeClient,
  namespace: string,
  earlier: Inventory | undefined,
): Promise<MeshNames | undefined> {
  const { name, key } = meshConfigMap;
  const recorded = earlier?.objects.find((o) => o.kind === 'ConfigMap' && o.metadata.name === name);
  if (recorded === undefined) return undefined;
  const live = await client.getOrUndefined<ConfigMap>({ resource: configMaps, namespace, name });
  const read = (map: ConfigMap): MeshConfig =>
    parseMeshConfig(map.data?.[key] ?? '', defaultMeshConfig(namespace));
  try {
    return read(live ?? (recorded as ConfigMap));
  } catch {
    // Components keep the last options they could read, which are most likely those that were installed.
    return read(recorded as ConfigMap);
  }
}
