import { maskCidr, parseCidr } from '#base/net/cidr.js';
import type { EnrollmentSelector } from '../../rules/enrollment.js';
import { CniError, cniErrorCodes } from './cni-error.js';

/** The plugin's entry of a conflist, as the installer writes it and the runtime passes it on stdin. */
export interface NetConf {
  readonly cniVersion: string;
  readonly name: string;
  readonly type: string;
  readonly prevResult?: CniResult | undefined;
  readonly plugin_log_level?: string | undefined;
  readonly cni_agent_run_dir: string;
  readonly ambient_enabled: boolean;
  readonly enablement_selectors: readonly EnrollmentSelector[];
  readonly exclude_namespaces: readonly string[];
  readonly pod_namespace: string;
  readonly enable_ambient_detection_retry: boolean;
}

/** Result of the plugins before ours: current layout, or that of CNI 0.1 and 0.2 (`ip4`, `ip6`). */
export interface CniResult {
  readonly ips?: readonly {
    readonly interface?: number;
    readonly address: string;
    readonly gateway?: string;
  }[];
  readonly ip4?: { readonly ip: string; readonly gateway?: string };
  readonly ip6?: { readonly ip: string; readonly gateway?: string };
}

export const supportedVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;

/** Parses the configuration on stdin. Throws {@link CniError} with codes 1, 6 and 7 of the CNI specification. */
export function parseNetConf(text: string): NetConf {
  const value = parseObject(text);
  const cniVersion = typeof value['cniVersion'] === 'string' ? value['cniVersion'] : '0.1.0';
  if (!supportedVersions.some((version) => version === cniVersion)) {
    throw new CniError(
      cniErrorCodes.incompatibleVersion,
      `CNI version ${cniVersion} is not supported`,
      `supported: ${supportedVersions.join(', ')}`,
    );
  }
  const prevResult = value['prevResult'];
  if (prevResult !== undefined && prevResult !== null && typeof prevResult !== 'object') {
    throw new CniError(cniErrorCodes.invalidConfig, 'prevResult is not an object');
  }
  return {
    cniVersion,
    name: stringOf(value, 'name', ''),
    type: stringOf(value, 'type', 'istio-cni'),
    ...(prevResult === undefined || prevResult === null ? {} : { prevResult: prevResult as CniResult }),
    plugin_log_level: stringOf(value, 'plugin_log_level', 'info'),
    cni_agent_run_dir: stringOf(value, 'cni_agent_run_dir', '/var/run/istio-cni'),
    ambient_enabled: value['ambient_enabled'] === true,
    enablement_selectors: arrayOf(value, 'enablement_selectors') as readonly EnrollmentSelector[],
    exclude_namespaces: arrayOf(value, 'exclude_namespaces').map(String),
    pod_namespace: stringOf(value, 'pod_namespace', 'istio-system'),
    enable_ambient_detection_retry: value['enable_ambient_detection_retry'] === true,
  };
}

/** `CNI_ARGS` (`K=V;K=V`) as a map; malformed pairs are ignored, as runtimes ask with IgnoreUnknown. */
export function parseCniArgs(text: string | undefined): ReadonlyMap<string, string> {
  const pairs = (text ?? '').split(';').map((pair) => pair.split('=', 2));
  return new Map(pairs.flatMap(([key, value]) => (key && value !== undefined ? [[key, value]] : [])));
}

/** One address of the pod in the words of the agent's request (Go's default naming). */
export interface AgentIp {
  readonly Interface: number | null;
  readonly Address: { readonly IP: string; readonly Mask: string };
  readonly Gateway: string;
}

/** The addresses the earlier plugins gave the pod. */
export function agentIps(result: CniResult | undefined): readonly AgentIp[] {
  if (result === undefined) return [];
  const old = [result.ip4, result.ip6].flatMap((entry) =>
    entry === undefined ? [] : [{ address: entry.ip, gateway: entry.gateway, interface: undefined }],
  );
  return [...(result.ips ?? []), ...old].map((entry) => {
    const [ip = ''] = entry.address.split('/');
    return {
      Interface: entry.interface ?? null,
      Address: { IP: ip, Mask: maskBytes(entry.address).toString('base64') },
      Gateway: entry.gateway ?? '',
    };
  });
}

function maskBytes(address: string): Buffer {
  const block = parseCidr(address);
  if (block === undefined) return Buffer.alloc(0);
  const ones = new Uint8Array(block.address.length).fill(0xff);
  return Buffer.from(maskCidr({ address: ones, length: block.length }).address);
}

function parseObject(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new CniError(
      cniErrorCodes.decodingFailure,
      'the configuration on stdin is not JSON',
      String(error),
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CniError(cniErrorCodes.decodingFailure, 'the configuration on stdin is not a JSON object');
  }
  return value as Record<string, unknown>;
}

function stringOf(value: Record<string, unknown>, key: string, fallback: string): string {
  const entry = value[key];
  if (entry === undefined) return fallback;
  if (typeof entry === 'string') return entry;
  throw new CniError(cniErrorCodes.invalidConfig, `${key} is not a string`);
}

function arrayOf(value: Record<string, unknown>, key: string): readonly unknown[] {
  const entry = value[key];
  if (entry === undefined || entry === null) return [];
  if (Array.isArray(entry)) return entry;
  throw new CniError(cniErrorCodes.invalidConfig, `${key} is not a list`);
}
