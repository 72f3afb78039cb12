import { parse } from 'yaml';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { defaultTrustDomain, parseSpiffe } from '../identity/spiffe.js';
import type { MeshNames } from './trust-domain.js';

/** What happens to traffic bound for a waypoint that is missing or not ready. */
export type WaypointFailurePolicy = 'closed' | 'open';

/** What a node proxy makes of what it cannot evaluate in an AuthorizationPolicy. */
export type L7PolicyAtZtunnel = 'deny' | 'ignore';

/** ConfigMap of the system namespace that holds the mesh options, and its key. */
export const meshConfigMap = { name: 'istio', key: 'mesh' } as const;

/** The mesh-wide options this mesh honors. */
export interface MeshConfig extends MeshNames {
  /** Namespace whose policies apply to the whole mesh. */
  readonly rootNamespace: string;
  readonly waypointFailurePolicy: WaypointFailurePolicy;
  readonly l7PolicyAtZtunnel: L7PolicyAtZtunnel;
}

/** Options that apply when the mesh ConfigMap is absent or silent. */
export function defaultMeshConfig(systemNamespace: string): MeshConfig {
  return {
    trustDomain: defaultTrustDomain,
    trustDomainAliases: [],
    rootNamespace: systemNamespace,
    waypointFailurePolicy: 'closed',
    l7PolicyAtZtunnel: 'deny',
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
  const choose = <T extends string>(key: string, fallback: T, choices: readonly T[]): T => {
    const value = read(key, fallback);
    const chosen = choices.find((choice) => choice === value);
    if (chosen !== undefined) return chosen;
    throw new MeshError('MESH0401', `mesh option ${key} is ${value}, not ${choices.join(' or ')}`);
  };
  const trustDomain = read('trustDomain', defaults.trustDomain);
  const aliases: unknown = Reflect.get(parsed, 'trustDomainAliases') ?? defaults.trustDomainAliases;
  if (!Array.isArray(aliases) || !aliases.every((alias) => typeof alias === 'string')) {
    throw new MeshError('MESH0401', 'mesh option trustDomainAliases is not a list of texts');
  }
  for (const domain of [trustDomain, ...aliases]) {
    if (isTrustDomain(domain)) continue;
    throw new MeshError('MESH0401', `mesh options: trust domain "${domain}" is not a domain name`);
  }
  return {
    trustDomain,
    trustDomainAliases: aliases,
    rootNamespace: read('rootNamespace', defaults.rootNamespace),
    waypointFailurePolicy: choose('waypointFailurePolicy', defaults.waypointFailurePolicy, [
      'closed',
      'open',
    ]),
    l7PolicyAtZtunnel: choose('l7PolicyAtZtunnel', defaults.l7PolicyAtZtunnel, ['deny', 'ignore']),
  };
}

function isTrustDomain(text: string): boolean {
  return parseSpiffe(`spiffe://${text}/ns/a/sa/a`) !== undefined;
}
