import { everyAddress } from '../system/every-address.js';
import { hostname } from 'node:os';
import { goDurationMs } from '#base/time/duration.js';
import { MeshError } from '#base/errors/mesh-error.js';

/** How the controller was started. Names of variables and flags are upstream's where it has them. */
export interface Settings {
  readonly systemNamespace: string;
  readonly podName: string;
  readonly revision: string;
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly network: string;
  /** `namespace/serviceaccount` of the node proxies that may ask for their workloads' certificates. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  /** Folder of a plugged-in certificate authority. */
  readonly pluggedCaDir: string;
  /** Lifetimes of workload certificates, in seconds; undefined: the authority's own. */
  readonly workloadCertificates: {
    readonly defaultTtlSeconds?: number;
    readonly maxTtlSeconds?: number;
  };
  readonly waypoint: {
    readonly image: string;
    readonly imagePullPolicy: string;
    readonly imagePullSecrets: readonly string[];
    readonly resources: unknown;
    /** Of their logs: `json`, or anything else for text. */
    readonly logFormat: string;
  };
  /** Connections are asked to reconnect after this long, in milliseconds. */
  readonly maxConnectionAgeMs: number | undefined;
  /** Address the servers listen on. */
  readonly listenHost: string;
  readonly ports: {
    readonly http: number;
    readonly plaintextGrpc: number;
    readonly secureGrpc: number;
    readonly monitoring: number;
  };
}

const defaultPorts = { http: 8080, plaintextGrpc: 15010, secureGrpc: 15012, monitoring: 15014 };

/**
 * Reads arguments (`discovery` and its flags; flags this controller has no use for are
 * returned as `ignored`) and environment. Throws MESH0401 on a value that cannot be used.
 */
export function readSettings(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
): { readonly settings: Settings; readonly ignored: readonly string[] } {
  const { flags, ignored } = parseFlags(args);
  // A variable that is set but empty counts as absent: templates render what is not configured that way.
  const systemNamespace = env['POD_NAMESPACE'] || 'istio-system';
  const image =
    env['WAYPOINT_IMAGE'] || `${env['MESH_HUB'] || 'meshctl'}/waypoint:${env['MESH_TAG'] || 'latest'}`;
  const settings: Settings = {
    systemNamespace,
    // Replicas must differ, or each of them would take the other's leases for its own.
    podName: env['POD_NAME'] || hostname(),
    revision: env['REVISION'] || 'default',
    clusterId: env['CLUSTER_ID'] || 'Kubernetes',
    clusterDomain: flags.get('domain') || 'cluster.local',
    network: env['NETWORK'] ?? '',
    trustedNodeAccounts: new Set(listIn(env['CA_TRUSTED_NODE_ACCOUNTS'] ?? `${systemNamespace}/ztunnel`)),
    pluggedCaDir: env['ROOT_CA_DIR'] || '/etc/cacerts',
    workloadCertificates: {
      ...ttlSeconds(env, 'defaultTtlSeconds', 'DEFAULT_WORKLOAD_CERT_TTL'),
      ...ttlSeconds(env, 'maxTtlSeconds', 'MAX_WORKLOAD_CERT_TTL'),
    },
    waypoint: {
      image,
      imagePullPolicy: env['WAYPOINT_IMAGE_PULL_POLICY'] || 'IfNotPresent',
      imagePullSecrets: listIn(env['WAYPOINT_IMAGE_PULL_SECRETS'] ?? ''),
      resources: parseResources(env['WAYPOINT_RESOURCES']),
      logFormat: env['LOG_FORMAT'] || 'plain',
    },
    maxConnectionAgeMs: parseAgeMs(flags.get('keepaliveMaxServerConnectionAge')),
    listenHost: everyAddress(),
    ports: { ...defaultPorts, ...parseMonitoringPort(flags.get('monitoringAddr')) },
  };
  return { settings, ignored };
}

/** The words of a comma-separated list. */
function listIn(text: string): string[] {
  return text
    .split(',')
    .map((word) => word.trim())
    .filter((word) => word !== '');
}

const knownFlags = new Set([
  'domain',
  'log_output_level',
  'monitoringAddr',
  'keepaliveMaxServerConnectionAge',
]);

function parseFlags(args: readonly string[]): { flags: Map<string, string>; ignored: string[] } {
  const flags = new Map<string, string>();
  const ignored: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const arg = args[i] ?? '';
    if (arg === 'discovery') continue;
    const [name = '', inline] = arg.split(/=(.*)/s);
    const next = args[i + 1];
    const value = inline ?? (next !== undefined && !next.startsWith('--') ? next : undefined);
    if (inline === undefined && value !== undefined) i++;
    const bare = name.replace(/^--?/, '');
    if (knownFlags.has(bare) && value !== undefined) flags.set(bare, value);
    else ignored.push(arg);
  }
  return { flags, ignored };
}

function parseAgeMs(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  return parsePositiveMs('--keepaliveMaxServerConnectionAge', text);
}

function ttlSeconds<K extends string>(
  env: NodeJS.ProcessEnv,
  key: K,
  variable: string,
): { [P in K]?: number } {
  const text = env[variable];
  if (text === undefined || text === '') return {};
  const seconds = Math.floor(parsePositiveMs(variable, text) / 1000);
  if (seconds < 1) throw new MeshError('MESH0401', `${variable}: "${text}" is shorter than a second`);
  return { [key]: seconds } as { [P in K]?: number };
}

function parsePositiveMs(where: string, text: string): number {
  const ms = goDurationMs(text);
  if (ms === undefined || ms < 0) throw new MeshError('MESH0401', `${where}: "${text}" is not a duration`);
  return ms;
}

function parseMonitoringPort(address: string | undefined): { monitoring?: number } {
  if (address === undefined) return {};
  const port = Number(address.slice(address.lastIndexOf(':') + 1));
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new MeshError('MESH0401', `--monitoringAddr: "${address}" has no usable port`);
  }
  return { monitoring: port };
}

function parseResources(text: string | undefined): unknown {
  if (text === undefined || text === '') return undefined;
  try {
    const parsed: unknown = JSON.parse(text);
    return typeof parsed === 'object' && parsed !== null ? parsed : undefined;
  } catch (cause) {
    throw new MeshError('MESH0401', 'WAYPOINT_RESOURCES is not JSON', { cause });
  }
}
