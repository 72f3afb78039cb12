import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { canonicalIp, type IpFamily, ipFamilyOf } from '#base/net/address.js';
import { MeshError } from '#base/errors/mesh-error.js';
import { type EnrollmentRules, parseBoolean } from '../rules/enrollment.js';
import { parseEnrollmentRules } from '../rules/enrollment-config.js';
import { defaultProbeAddresses, type ProbeAddresses } from './redirection/pod-rules.js';

/** Everything the agent reads from its environment; names are upstream's (istio/istio cni/pkg/constants). */
export interface AgentConfig extends EnrollmentRules {
  readonly nodeName: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly daemonSetName: string;
  /** Directory shared with the plugin. */
  readonly runDir: string;
  readonly zdsPath: string;
  /** The node's procfs, namespace directory, CNI binaries and CNI configuration, as mounted here. */
  readonly procDir: string;
  readonly netnsDir: string;
  readonly cniBinDir: string;
  readonly cniNetDir: string;
  /** File to chain to; empty picks the first valid one. */
  readonly cniConfName: string;
  /** The node's root as it can be reached from here, and what the node calls its folder of CNI binaries. */
  readonly hostRoot: string;
  readonly hostBinDir: string;
  /** The plugin's template, and where the busybox that is to run it may be. */
  readonly pluginTemplate: string;
  readonly busyboxes: readonly string[];
  readonly dnsCapture: boolean;
  readonly ipv6: boolean;
  readonly reconcileOnStartup: boolean;
  readonly disableSafeUpgrade: boolean;
  readonly detectionRetry: boolean;
  readonly switchToHostNetns: boolean;
  readonly forcedBackend: string | undefined;
  readonly probes: ProbeAddresses;
  readonly monitoringPort: number;
  readonly healthPort: number;
  readonly adminPort: number;
  readonly driftIntervalMs: number;
  readonly leaveGraceMs: number;
  readonly logLevel: string;
}

/** Settings of upstream's agent that this one knows in one value only; another one must not be ignored. */
const fixedSettings: Readonly<Record<string, boolean>> = {
  AMBIENT_ENABLED: true,
  CHAINED_CNI_PLUGIN: true,
  ISTIO_OWNED_CNI_CONFIG: false,
  NATIVE_NFTABLES: false,
};

/** Where distributions put it, statically linked ones first (Alpine, Debian and most, Fedora). */
const busyboxPaths = ['/bin/busybox.static', '/bin/busybox', '/usr/bin/busybox', '/usr/sbin/busybox'];

/** Reads the environment. Throws MESH0708 naming the variable that cannot be used. */
export function readAgentConfig(env: NodeJS.ProcessEnv): AgentConfig {
  const text = (name: string, fallback: string): string => {
    const value = env[name];
    return value === undefined || value === '' ? fallback : value;
  };
  const required = (name: string): string => {
    const value = text(name, '');
    if (value === '') throw new MeshError('MESH0708', `the environment variable ${name} is not set`);
    return value;
  };
  const flag = (name: string, fallback: boolean): boolean => {
    const value = text(name, String(fallback));
    const parsed = parseBoolean(value);
    if (parsed === undefined) throw invalid(name, value, 'true or false');
    return parsed;
  };
  const count = (name: string, fallback: number): number => {
    const value = text(name, String(fallback));
    const parsed = Number(value);
    if (!Number.isInteger(parsed) || parsed < 0 || parsed > 86_400_000) {
      throw invalid(name, value, 'a whole number');
    }
    return parsed;
  };
  for (const [name, supported] of Object.entries(fixedSettings)) {
    if (flag(name, supported) !== supported) throw invalid(name, String(env[name]), `${supported} here`);
  }
  return {
    ...parseEnrollmentRules(env, text('SYSTEM_NAMESPACE', 'istio-system')),
    nodeName: required('NODE_NAME'),
    podName: text('POD_NAME', ''),
    podNamespace: text('POD_NAMESPACE', 'istio-system'),
    daemonSetName: text('CNI_DAEMONSET_NAME', 'istio-cni-node'),
    runDir: text('CNI_AGENT_RUN_DIR', '/var/run/istio-cni'),
    zdsPath: text('ZTUNNEL_UDS_ADDRESS', '/var/run/ztunnel/ztunnel.sock'),
    procDir: text('HOST_PROC_DIR', '/host/proc'),
    netnsDir: text('HOST_NETNS_DIR', '/host/var/run/netns'),
    cniBinDir: text('MOUNTED_CNI_BIN_DIR', '/host/opt/cni/bin'),
    cniNetDir: text('MOUNTED_CNI_NET_DIR', '/host/etc/cni/net.d'),
    cniConfName: text('CNI_CONF_NAME', ''),
    hostRoot: text('HOST_ROOT_DIR', join(text('HOST_PROC_DIR', '/host/proc'), '1', 'root')),
    hostBinDir: text('HOST_CNI_BIN_DIR', '/opt/cni/bin'),
    pluginTemplate: text('CNI_PLUGIN_TEMPLATE', fileURLToPath(new URL('./istio-cni.sh', import.meta.url))),
    busyboxes: env['CNI_BUSYBOX'] === undefined ? busyboxPaths : [env['CNI_BUSYBOX']],
    dnsCapture: flag('AMBIENT_DNS_CAPTURE', false),
    ipv6: flag('AMBIENT_IPV6', true),
    reconcileOnStartup: flag('AMBIENT_RECONCILE_POD_RULES_ON_STARTUP', true),
    disableSafeUpgrade: flag('AMBIENT_DISABLE_SAFE_UPGRADE', false),
    detectionRetry: flag('ENABLE_AMBIENT_DETECTION_RETRY', false),
    switchToHostNetns: flag('ALLOW_SWITCH_TO_HOST_NS', true),
    forcedBackend: parseBackend(env['FORCE_IPTABLES_BINARY']),
    probes: {
      v4: parseAddress('HOST_PROBE_SNAT_IP', text('HOST_PROBE_SNAT_IP', defaultProbeAddresses.v4), 'IPv4'),
      v6: parseAddress(
        'HOST_PROBE_SNAT_IPV6',
        text('HOST_PROBE_SNAT_IPV6', defaultProbeAddresses.v6),
        'IPv6',
      ),
    },
    monitoringPort: count('MONITORING_PORT', 15014),
    healthPort: count('HEALTH_PORT', 8000),
    adminPort: count('ADMIN_PORT', 15000),
    driftIntervalMs: count('DRIFT_CHECK_INTERVAL_MS', 2_000),
    leaveGraceMs: count('LEAVE_GRACE_MS', 1_000),
    logLevel: text('LOG_LEVEL', 'info'),
  };
}

function parseBackend(value: string | undefined): string | undefined {
  if (value === undefined || value === '') return undefined;
  if (value === 'legacy' || value === 'nft') return value;
  throw invalid('FORCE_IPTABLES_BINARY', value, 'legacy or nft');
}

/** The address as the kernel writes it, so that it compares equal to what iptables-save shows. */
function parseAddress(name: string, value: string, family: IpFamily): string {
  const address = ipFamilyOf(value) === family ? canonicalIp(value) : undefined;
  if (address === undefined) throw invalid(name, value, 'an IP address of its family');
  return address;
}

function invalid(name: string, value: string, wanted: string): MeshError {
  return new MeshError('MESH0708', `the environment variable ${name} must be ${wanted}`, {
    evidence: value.slice(0, 500),
  });
}
