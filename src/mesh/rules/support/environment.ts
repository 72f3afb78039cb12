import { honored, ignored, type Support, type SupportTable } from './support.js';

function variables(names: readonly string[]): Record<string, Support> {
  return Object.fromEntries(names.map((name) => [name, honored({ takenUp: 'restart' })]));
}

const unknown = ignored('the component reads no variable of this name');

/** Set by upstream's profiles and harmless: what they switch on is always on. */
const alwaysOn = (what: string): Support => ignored(`${what} is always on`, 'true');

/** What processes of Node.js, and the libraries in them, read themselves. */
const runtime = variables(['NODE_OPTIONS', 'NODE_EXTRA_CA_CERTS', 'UV_THREADPOOL_SIZE', 'LOG_FORMAT']);

/** Variables of the controller: `values.pilot.env`. */
export const controllerEnvironment: SupportTable = {
  '*': unknown,
  ...runtime,
  ...variables([
    'CA_TRUSTED_NODE_ACCOUNTS',
    'CLUSTER_ID',
    'DEFAULT_WORKLOAD_CERT_TTL',
    'MAX_WORKLOAD_CERT_TTL',
    'MESH_HUB',
    'MESH_TAG',
    'NETWORK',
    'POD_NAME',
    'POD_NAMESPACE',
    'REVISION',
    'ROOT_CA_DIR',
    'WAYPOINT_IMAGE',
    'WAYPOINT_IMAGE_PULL_POLICY',
    'WAYPOINT_IMAGE_PULL_SECRETS',
    'WAYPOINT_RESOURCES',
  ]),
  PILOT_ENABLE_AMBIENT: alwaysOn('ambient mode'),
};

/** Variables of the CNI agent: `values.cni.env`. */
export const agentEnvironment: SupportTable = {
  '*': unknown,
  ...runtime,
  ...variables([
    'ADMIN_PORT',
    'ALLOW_SWITCH_TO_HOST_NS',
    'AMBIENT_DISABLE_SAFE_UPGRADE',
    'AMBIENT_DNS_CAPTURE',
    'AMBIENT_ENABLED',
    'AMBIENT_ENABLEMENT_SELECTOR',
    'AMBIENT_IPV6',
    'AMBIENT_RECONCILE_POD_RULES_ON_STARTUP',
    'CHAINED_CNI_PLUGIN',
    'CNI_AGENT_RUN_DIR',
    'CNI_BUSYBOX',
    'CNI_CONF_NAME',
    'CNI_DAEMONSET_NAME',
    'CNI_PLUGIN_TEMPLATE',
    'DRIFT_CHECK_INTERVAL_MS',
    'ENABLE_AMBIENT_DETECTION_RETRY',
    'EXCLUDE_NAMESPACES',
    'FORCE_IPTABLES_BINARY',
    'HEALTH_PORT',
    'HOST_CNI_BIN_DIR',
    'HOST_NETNS_DIR',
    'HOST_PROBE_SNAT_IP',
    'HOST_PROBE_SNAT_IPV6',
    'HOST_PROC_DIR',
    'HOST_ROOT_DIR',
    'ISTIO_OWNED_CNI_CONFIG',
    'LEAVE_GRACE_MS',
    'LOG_LEVEL',
    'MONITORING_PORT',
    'MOUNTED_CNI_BIN_DIR',
    'MOUNTED_CNI_NET_DIR',
    'NATIVE_NFTABLES',
    'NODE_NAME',
    'POD_NAME',
    'POD_NAMESPACE',
    'SYSTEM_NAMESPACE',
    'ZTUNNEL_UDS_ADDRESS',
  ]),
};

/** Variables of the node proxy: `values.ztunnel.env` and `meshConfig.defaultConfig.proxyMetadata`. */
export const nodeProxyEnvironment: SupportTable = {
  '*': unknown,
  ...runtime,
  ...variables([
    'ALT_CA_HOSTNAME',
    'ALT_XDS_HOSTNAME',
    'AUTH_TOKEN',
    'CA_ADDRESS',
    'CA_HEADER_*',
    'CA_ROOT_CA',
    'CLUSTER_ID',
    'CONNECTION_TERMINATION_DEADLINE',
    'ENABLE_ORIG_SRC',
    'INPOD_PORT_REUSE',
    'INPOD_UDS',
    'INSTANCE_IP',
    'IPV6_ENABLED',
    'ISTIO_META_CLUSTER_ID',
    'ISTIO_META_ISTIO_VERSION',
    'KUBERNETES_SERVICE_HOST',
    'LOCAL_XDS_PATH',
    'NETWORK',
    'NODE_NAME',
    'PACKET_MARK',
    'POD_NAME',
    'POD_NAMESPACE',
    'POOL_MAX_STREAMS_PER_CONNECTION',
    'POOL_UNUSED_RELEASE_TIMEOUT',
    'PROXY_ADMIN_PORT',
    'PROXY_MODE',
    'READINESS_PORT',
    'RUST_LOG',
    'SECRET_TTL',
    'STATS_PORT',
    'TERMINATION_GRACE_PERIOD_SECONDS',
    'TRUST_DOMAIN',
    'TRUST_DOMAIN_ALIASES',
    'XDS_ADDRESS',
    'XDS_HEADER_*',
    'XDS_ROOT_CA',
  ]),
  ISTIO_META_ENABLE_HBONE: alwaysOn('HBONE'),
};
