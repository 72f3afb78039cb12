import { parse } from 'yaml';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { defaultTrustDomain, parseSpiffe } from '../identity/spiffe.js';

/** What happens to traffic bound for a waypoint that is missing or not ready. */
export type WaypointFailurePolicy = 'closed' | 'open';

/** The mesh-wide options this controller honors. */
export interface MeshConfig {
  readonly trustDomain: string;
  /** Namespace whose policies apply to the whole mesh. */
  readonly rootNamespace: string;
  readonly waypointFailurePolicy: WaypointFailurePolicy;
}

/** Options that apply when the mesh ConfigMap is absent or silent. */
export function defaultMeshConfig(systemNamespace: string): MeshConfig {
  return {
    trustDomain: defaultTrustDomain,
    rootNamespace: systemNamespace,
    waypointFailurePolicy: 'closed',
  };
}

/**
 * Reads the `mesh` key of ConfigMap `istio`. Unknown keys are other components' and are ignored;
 * a known key with an unusable value throws MESH0401.
 */
export function parseMeshConfig(text: string, defaults: MeshConfig): MeshConfig {
  let parsed: unknown;
  try {
    parsed = parse(text);
  } catch (cause) {
    throw new MeshError('MESH0401', 'the mesh ConfigMap is not YAML', { evidence: messageOf(cause), cause });
  }
  if (parsed === null || parsed === undefined) return defaults;
  if (typeof parsed !== 'object' || Array.isArray(parsed)) {
    throw new MeshError('MESH0401', 'the mesh ConfigMap does not hold a mapping');
  }
  const read = (key: string, fallback: string): string => {
    const value: unknown = Reflect.get(parsed, key);
    if (value === undefined || value === null || value === '') return fallback;
    if (typeof value !== 'string') throw new MeshError('MESH0401', `mesh option ${key} is not a text`);
    return value;
  };
  const policy = read('waypointFailurePolicy', defaults.waypointFailurePolicy);
  if (policy !== 'closed' && policy !== 'open') {
    throw new MeshError('MESH0401', `mesh option waypointFailurePolicy is ${policy}, not closed or open`);
  }
  const trustDomain = read('trustDomain', defaults.trustDomain);
  if (parseSpiffe(`spiffe://${trustDomain}/ns/a/sa/a`) === undefined) {
    throw new MeshError('MESH0401', `mesh option trustDomain "${trustDomain}" is not a domain name`);
  }
  return {
    trustDomain,
    rootNamespace: read('rootNamespace', defaults.rootNamespace),
    waypointFailurePolicy: policy,
  };
}
