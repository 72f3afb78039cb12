import { agentEnvironment, controllerEnvironment, nodeProxyEnvironment } from './environment.js';
import { meshOptionSupport } from './mesh-options.js';
import { honored, ignored, refused, type Support, type SupportTable } from './support.js';

const whole = honored({ isWhole: true });
const noRevisions = 'a cluster has one control plane, without revisions';
const noOperator = 'there is no operator that would read it';
const noGateways = 'gateways are made from Gateway objects, by the controller';

/** The table's rows, each below a path. */
function below(at: string, table: SupportTable): SupportTable {
  return Object.fromEntries(Object.entries(table).map(([path, row]) => [`${at}.${path}`, row]));
}

/** The same row for several paths. */
function rows(row: Support, ...paths: readonly string[]): SupportTable {
  return Object.fromEntries(paths.map((path) => [path, row]));
}

/** What proxyMetadata holds is environment of the node proxy; waypoints do not get it. */
const proxyMetadata = below('defaultConfig.proxyMetadata', nodeProxyEnvironment);

/** What `-f`, `--set` and profiles may hold; the shape is istioctl's. */
export const valueSupport: SupportTable = {
  ...rows(honored(), 'profile', 'hub', 'tag'),
  ...rows(refused(noRevisions, '', 'default'), 'revision', 'values.revision'),
  ...rows(ignored(noOperator, ''), 'installPackagePath', 'compatibilityVersion'),
  namespace: ignored('use the flag --istio-namespace', '', 'istio-system'),
  'values.profile': ignored('use profile, without "values."', ''),
  ...below('meshConfig', { ...meshOptionSupport, ...proxyMetadata }),
  // Laid over meshConfig, where it counts.
  'values.meshConfig': whole,

  ...rows(
    honored(),
    'components.base.enabled',
    'components.pilot.enabled',
    'components.cni.enabled',
    'components.ztunnel.enabled',
  ),
  'components.ingressGateways[].enabled': refused(noGateways, false),
  'components.egressGateways[].enabled': refused(noGateways, false),
  ...rows(ignored(noGateways), 'components.ingressGateways[].name', 'components.egressGateways[].name'),

  ...rows(
    honored(),
    'values.global.hub',
    'values.global.tag',
    'values.global.platform',
    'values.global.imagePullPolicy',
    'values.global.proxy.image',
    'values.global.imagePullSecrets[]',
    'values.global.network',
    'values.global.multiCluster.clusterName',
    'values.global.logging.level',
    'values.global.logAsJson',
    'values.global.proxy.clusterDomain',
  ),
  'values.global.waypoint.resources': whole,
  'values.global.variant': ignored('images have one variant', ''),
  'values.global.istioNamespace': ignored('use the flag --istio-namespace', '', 'istio-system'),
  'values.global.meshID': ignored('the mesh is of one cluster', ''),
  'values.global.multiCluster.enabled': refused('the mesh is of one cluster', false),

  ...rows(honored(), 'values.pilot.image', 'values.cni.image', 'values.ztunnel.image'),
  'values.pilot.replicaCount': honored(),
  'values.pilot.autoscaleEnabled': refused('make a HorizontalPodAutoscaler for Deployment istiod', false),
  'values.pilot.trustedZtunnelName': honored(),
  ...rows(
    whole,
    'values.pilot.resources',
    'values.pilot.nodeSelector',
    'values.pilot.tolerations',
    'values.pilot.affinity',
    'values.pilot.podLabels',
    'values.pilot.podAnnotations',
  ),
  ...below('values.pilot.env', controllerEnvironment),

  ...rows(
    honored(),
    'values.cni.cniBinDir',
    'values.cni.cniConfDir',
    'values.cni.cniNetnsDir',
    'values.cni.cniConfFileName',
    'values.cni.excludeNamespaces[]',
    'values.cni.ambient.ipv6',
    'values.cni.ambient.reconcileIptablesOnStartup',
    'values.cni.ambient.enableAmbientDetectionRetry',
    'values.cni.resourceQuotas.enabled',
    'values.cni.resourceQuotas.pods',
  ),
  'values.cni.ambient.enabled': refused(
    'the CNI agent does nothing but ambient capture; set components.cni.enabled=false to do without it',
    true,
  ),
  'values.cni.ambient.dnsCapture': refused(
    'the node proxy has no DNS listener, so captured queries would go unanswered',
    false,
  ),
  'values.cni.nativeNftables': refused('redirection is written with iptables', false),
  'values.cni.istioOwnedCNIConfig': refused(
    'the plugin is chained into the configuration that is there',
    false,
  ),
  'values.cni.istioOwnedCNIConfigFileName': ignored(
    'the plugin is chained into the configuration that is there',
    '',
  ),
  'values.cni.chained': refused('the plugin runs only chained after another one', true),
  ...rows(
    whole,
    'values.cni.resources',
    'values.cni.podAnnotations',
    'values.cni.affinity',
    'values.cni.seLinuxOptions',
  ),
  ...below('values.cni.env', agentEnvironment),

  ...rows(
    honored(),
    'values.ztunnel.terminationGracePeriodSeconds',
    'values.ztunnel.resourceQuotas.enabled',
    'values.ztunnel.resourceQuotas.pods',
  ),
  ...rows(
    whole,
    'values.ztunnel.resources',
    'values.ztunnel.podAnnotations',
    'values.ztunnel.podLabels',
    'values.ztunnel.nodeSelector',
    'values.ztunnel.affinity',
    'values.ztunnel.seLinuxOptions',
  ),
  ...below('values.ztunnel.env', nodeProxyEnvironment),
};
