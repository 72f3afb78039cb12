import { MeshError } from '#base/errors/mesh-error.js';
import { formatSpiffeId, type SpiffeId } from '../identity/spiffe.js';
import { type MeshNames, namesFromEnvironment } from '../rules/trust-domain.js';
import type { ControlPlaneEndpoint } from '../xds/client/endpoint.js';
import type { AccessLogEncoding } from './telemetry/access-log.js';

/** Ports of one proxy; 0 lets the system choose (tests). */
export interface WaypointPorts {
  readonly hbone: number;
  readonly admin: number;
  readonly stats: number;
  readonly ready: number;
}

/** Everything the process is told from outside. */
export interface WaypointConfig {
  /** The Gateway this process serves. */
  readonly gateway: { readonly namespace: string; readonly name: string };
  /** Host name of the Gateway's Service, by which services refer to it. */
  readonly hostname: string;
  readonly pod: { readonly name: string; readonly ip: string; readonly node: string };
  readonly serviceAccount: string;
  readonly identity: SpiffeId;
  readonly names: MeshNames;
  readonly clusterId: string;
  readonly network: string;
  /** Certificates and configuration come from the same place. */
  readonly controlPlane: ControlPlaneEndpoint;
  /** Where the HBONE, stats and readiness ports listen; undefined: every address. */
  readonly listenHost: string | undefined;
  readonly ports: WaypointPorts;
  readonly accessLog: AccessLogEncoding;
  /** How long established requests may take to end after SIGTERM. */
  readonly drainMs: number;
}

const defaultPorts: WaypointPorts = { hbone: 15008, admin: 15000, stats: 15020, ready: 15021 };
const drainDefaultSeconds = 5;
const drainMaxSeconds = 3_600;

/**
 * Reads the settings the Gateway's pod template gives. Flags meant for other proxies are ignored.
 * Throws MESH0600 naming the variable that is missing or malformed.
 */
export function readGatewayConfig(args: readonly string[], env: NodeJS.ProcessEnv): WaypointConfig {
  const namespace = required(env, 'POD_NAMESPACE');
  const podName = required(env, 'POD_NAME');
  const gatewayName = env['GATEWAY_NAME'] || required(env, 'ISTIO_META_WORKLOAD_NAME');
  const serviceAccount = required(env, 'SERVICE_ACCOUNT');
  const names = namesFromEnvironment(env);
  const clusterId = env['ISTIO_META_CLUSTER_ID'] || 'Kubernetes';
  const domain = flagValue(args, '--domain') || `${namespace}.svc.cluster.local`;
  return {
    gateway: { namespace, name: gatewayName },
    hostname: `${gatewayName}.${domain}`,
    pod: { name: podName, ip: required(env, 'INSTANCE_IP'), node: env['NODE_NAME'] ?? '' },
    serviceAccount,
    identity: formatSpiffeId({ trustDomain: names.trustDomain, namespace, serviceAccount }),
    names,
    clusterId,
    network: env['ISTIO_META_NETWORK'] ?? '',
    controlPlane: {
      address: env['XDS_ADDRESS'] || env['CA_ADDR'] || 'istiod.istio-system.svc:15012',
      rootCa: env['XDS_ROOT_CA'] || '/var/run/secrets/istio/root-cert.pem',
      token: env['TOKEN_FILE'] || '/var/run/secrets/tokens/istio-token',
      clusterId,
    },
    listenHost: undefined,
    ports: defaultPorts,
    accessLog: readEncoding(env['ACCESS_LOG'] || 'text'),
    drainMs: readSeconds(env, 'TERMINATION_DRAIN_DURATION_SECONDS', drainDefaultSeconds) * 1_000,
  };
}

function required(env: NodeJS.ProcessEnv, name: string): string {
  const value = env[name];
  if (value === undefined || value === '') {
    throw new MeshError('MESH0600', `the environment variable ${name} is not set`);
  }
  return value;
}

/** The value of `--flag value` or `--flag=value`. */
function flagValue(args: readonly string[], flag: string): string | undefined {
  for (const [index, arg] of args.entries()) {
    if (arg === flag) return args[index + 1];
    if (arg.startsWith(`${flag}=`)) return arg.slice(flag.length + 1);
  }
  return undefined;
}

function readEncoding(text: string): AccessLogEncoding {
  const value = text.toLowerCase();
  if (value === 'off' || value === 'text' || value === 'json') return value;
  throw new MeshError('MESH0600', `ACCESS_LOG is ${JSON.stringify(text)}, expected off, text or json`);
}

function readSeconds(env: NodeJS.ProcessEnv, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const seconds = Number(text.replace(/s$/, ''));
  if (Number.isFinite(seconds) && seconds >= 0 && seconds <= drainMaxSeconds) return seconds;
  throw new MeshError(
    'MESH0600',
    `${name} is ${JSON.stringify(text)}, expected seconds up to ${drainMaxSeconds}`,
  );
}
