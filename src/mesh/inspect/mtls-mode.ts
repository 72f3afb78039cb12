import { labelSelectorMatches } from '#base/kube/labels.js';
import type { PeerAuthentication, Pod } from '#base/kube/types.js';

export type MtlsMode = 'STRICT' | 'PERMISSIVE';

export interface EffectiveMtls {
  readonly mode: MtlsMode;
  /** `PeerAuthentication ns/name`, or `default`. */
  readonly source: string;
  /** Exceptions by port. */
  readonly ports: Readonly<Record<string, MtlsMode>>;
  /** Policies that ask for DISABLE, which ambient mode cannot do and therefore ignores. */
  readonly ignoredDisable: readonly string[];
}

/**
 * The inbound mode that PeerAuthentications ask for at a pod: workload selector before
 * namespace before mesh root; of several the oldest (reference/control-plane.md 5.4).
 */
export function effectiveMtls(
  pod: Pod,
  policies: readonly PeerAuthentication[],
  rootNamespace: string,
): EffectiveMtls {
  const namespace = pod.metadata.namespace ?? '';
  const oldestFirst = [...policies].sort((a, b) =>
    `${a.metadata.creationTimestamp}${a.metadata.name}`.localeCompare(
      `${b.metadata.creationTimestamp}${b.metadata.name}`,
    ),
  );
  const hasSelector = (p: PeerAuthentication) => Object.keys(p.spec?.selector?.matchLabels ?? {}).length > 0;
  const levels = [
    oldestFirst.find(
      (p) =>
        p.metadata.namespace === namespace &&
        hasSelector(p) &&
        labelSelectorMatches(p.spec?.selector ?? {}, pod.metadata.labels),
    ),
    oldestFirst.find((p) => p.metadata.namespace === namespace && !hasSelector(p)),
    oldestFirst.find((p) => p.metadata.namespace === rootNamespace && !hasSelector(p)),
  ].filter((p) => p !== undefined);
  const nameOf = (p: PeerAuthentication) => `PeerAuthentication ${p.metadata.namespace}/${p.metadata.name}`;
  const ignoredDisable = levels.filter((p) => p.spec?.mtls?.mode === 'DISABLE').map(nameOf);
  const deciding = levels.find((p) => asMode(p.spec?.mtls?.mode) !== undefined);
  const ports: Record<string, MtlsMode> = {};
  const workloadLevel = levels[0] !== undefined && hasSelector(levels[0]) ? levels[0] : undefined;
  for (const [port, { mode }] of Object.entries(workloadLevel?.spec?.portLevelMtls ?? {})) {
    const parsed = asMode(mode);
    if (parsed !== undefined) ports[port] = parsed;
  }
  return {
    mode: asMode(deciding?.spec?.mtls?.mode) ?? 'PERMISSIVE',
    source: deciding === undefined ? 'default' : nameOf(deciding),
    ports,
    ignoredDisable,
  };
}

/** UNSET and absent defer to the next level; so does DISABLE, which does not exist in ambient mode. */
function asMode(mode: string | undefined): MtlsMode | undefined {
  return mode === 'STRICT' || mode === 'PERMISSIVE' ? mode : undefined;
}
