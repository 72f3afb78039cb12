import { existsSync } from 'node:fs';
import type { JsonObject } from '@bufbuild/protobuf';
import { goDurationMs } from '#base/time/duration.js';
import { MeshError } from '#base/errors/mesh-error.js';
import { type MeshNames, namesFromEnvironment } from '../rules/trust-domain.js';
import { productVersion } from '../telemetry/version.js';
import type { ControlPlaneEndpoint } from '../xds/client/endpoint.js';

/** Settings of the node proxy; every environment variable it reads is named here and nowhere else. */
export interface ZtunnelConfig {
  /** Undefined: no control plane, only the local file. */
  readonly xds: ControlPlaneEndpoint | undefined;
  readonly ca: ControlPlaneEndpoint;
  readonly localXdsPath: string | undefined;
  readonly node: { readonly id: string; readonly metadata: JsonObject };
  readonly nodeName: string;
  readonly clusterId: string;
  readonly network: string;
  /** The trust domains whose identities are this mesh's. */
  readonly names: MeshNames;
  readonly zdsPath: string;
  readonly mark: number;
  readonly preservesSource: boolean;
  readonly reusesPort: boolean;
  readonly isIpv6Enabled: boolean;
  readonly secretTtlSeconds: number;
  readonly poolStreamsMax: number;
  readonly poolUnusedReleaseMs: number;
  readonly drainMs: number;
  readonly adminPort: number;
  readonly statsPort: number;
  readonly readinessPort: number;
  readonly istioVersion: string;
}

const rootCaDefault = './var/run/secrets/istio/root-cert.pem';
const rootCaFallback = '/var/run/secrets/istio/root-cert.pem';
const tokenDefault = './var/run/secrets/tokens/istio-token';
const tokenFallback = '/var/run/secrets/tokens/istio-token';

/** Reads the settings. Throws MESH0503 naming the variable that cannot be used. */
export function readZtunnelConfig(env: NodeJS.ProcessEnv): ZtunnelConfig {
  const mode = env['PROXY_MODE'] ?? 'shared';
  if (mode !== 'shared') throw invalid('PROXY_MODE', mode, 'shared');
  const clusterId = env['ISTIO_META_CLUSTER_ID'] ?? env['CLUSTER_ID'] ?? 'Kubernetes';
  const discovery =
    env['KUBERNETES_SERVICE_HOST'] === undefined
      ? 'https://localhost:15012'
      : 'https://istiod.istio-system.svc:15012';
  const xdsAddress = env['XDS_ADDRESS'] ?? discovery;
  const token = env['AUTH_TOKEN'] ?? firstExisting(tokenDefault, tokenFallback);
  const endpoint = (kind: 'XDS' | 'CA', address: string): ControlPlaneEndpoint => ({
    address,
    rootCa: env[`${kind}_ROOT_CA`] ?? firstExisting(rootCaDefault, rootCaFallback),
    altHostname: env[`ALT_${kind}_HOSTNAME`],
    token,
    clusterId,
    headers: withPrefix(env, `${kind}_HEADER_`),
  });
  const localXdsPath = env['LOCAL_XDS_PATH'];
  if (xdsAddress === '' && localXdsPath === undefined) {
    throw new MeshError(
      'MESH0503',
      'neither XDS_ADDRESS nor LOCAL_XDS_PATH says where the mesh is described',
    );
  }
  const podName = env['POD_NAME'] ?? 'ztunnel';
  const podNamespace = env['POD_NAMESPACE'] ?? 'istio-system';
  const instanceIp = env['INSTANCE_IP'] || '1.1.1.1';
  const nodeName = env['NODE_NAME'] ?? '';
  return {
    xds: xdsAddress === '' ? undefined : endpoint('XDS', xdsAddress),
    ca: endpoint('CA', env['CA_ADDRESS'] ?? (xdsAddress || discovery)),
    localXdsPath,
    node: {
      id: `ztunnel~${instanceIp}~${podName}.${podNamespace}~${podNamespace}.svc.cluster.local`,
      metadata: {
        NAME: podName,
        NAMESPACE: podNamespace,
        INSTANCE_IPS: instanceIp,
        NODE_NAME: nodeName,
        ISTIO_VERSION: productVersion,
        ...nodeMetadata(env),
      },
    },
    nodeName,
    clusterId,
    network: env['NETWORK'] ?? '',
    names: namesFromEnvironment(env),
    zdsPath: env['INPOD_UDS'] ?? '/var/run/ztunnel/ztunnel.sock',
    mark: integer(env, 'PACKET_MARK', 1337),
    preservesSource: flag(env, 'ENABLE_ORIG_SRC', true),
    reusesPort: flag(env, 'INPOD_PORT_REUSE', true),
    isIpv6Enabled: flag(env, 'IPV6_ENABLED', true),
    secretTtlSeconds: Math.round(duration(env, 'SECRET_TTL', 86_400_000) / 1_000),
    poolStreamsMax: integer(env, 'POOL_MAX_STREAMS_PER_CONNECTION', 100),
    poolUnusedReleaseMs: duration(env, 'POOL_UNUSED_RELEASE_TIMEOUT', 300_000),
    drainMs: drainDeadline(env),
    adminPort: integer(env, 'PROXY_ADMIN_PORT', 15000),
    statsPort: integer(env, 'STATS_PORT', 15020),
    readinessPort: integer(env, 'READINESS_PORT', 15021),
    istioVersion: env['ISTIO_META_ISTIO_VERSION'] ?? 'unknown',
  };
}

/** With a pod's grace period known, a little less than it; else the explicit or default deadline. */
function drainDeadline(env: NodeJS.ProcessEnv): number {
  if (env['CONNECTION_TERMINATION_DEADLINE'] !== undefined) {
    return duration(env, 'CONNECTION_TERMINATION_DEADLINE', 5_000);
  }
  if (env['TERMINATION_GRACE_PERIOD_SECONDS'] === undefined) return 5_000;
  const seconds = integer(env, 'TERMINATION_GRACE_PERIOD_SECONDS', 30);
  return Math.max(1, seconds > 10 ? seconds - 5 : seconds - 1) * 1_000;
}

function nodeMetadata(env: NodeJS.ProcessEnv): JsonObject {
  const metadata: JsonObject = withPrefix(env, 'ISTIO_META_');
  for (const [name, text] of Object.entries(withPrefix(env, 'ISTIO_METAJSON_'))) {
    try {
      metadata[name] = JSON.parse(text) as JsonObject[string];
    } catch {
      throw invalid(`ISTIO_METAJSON_${name}`, text, 'JSON');
    }
  }
  return metadata;
}

function withPrefix(env: NodeJS.ProcessEnv, prefix: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (name.startsWith(prefix) && value !== undefined) found[name.slice(prefix.length)] = value;
  }
  return found;
}

function flag(env: NodeJS.ProcessEnv, name: string, fallback: boolean): boolean {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  if (text === 'true' || text === 'false') return text === 'true';
  throw invalid(name, text, 'true or false');
}

function integer(env: NodeJS.ProcessEnv, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  if (!/^\d{1,9}$/.test(text)) throw invalid(name, text, 'a number');
  return Number(text);
}

/** `90s`, `5m`, `1h30m`, `500ms`, in milliseconds. */
function duration(env: NodeJS.ProcessEnv, name: string, fallbackMs: number): number {
  const text = env[name];
  if (text === undefined || text === '') return fallbackMs;
  const ms = goDurationMs(text);
  if (ms === undefined || ms < 0) throw invalid(name, text, 'a duration such as 30s');
  return ms;
}

function firstExisting(path: string, fallback: string): string {
  return existsSync(path) ? path : fallback;
}

function invalid(name: string, value: string, expected: string): MeshError {
  return new MeshError('MESH0503', `${name}=${value} cannot be used, expected ${expected}`);
}
