/** What to do instead of a command of istioctl's. */
export interface Substitute {
  /** Why there is no such command. */
  readonly why: string;
  /** Commands that come nearest, as one types them. */
  readonly instead: readonly string[];
}

const sidecars = 'nothing is injected into pods: they join the mesh by a label, without a restart';
const oneCluster = 'a mesh is within one cluster';
const oneRevision = 'there is one revision, and install changes it in place';
const controllerLevels = 'levels of the controller are values of the installation';
const forwarding = 'kubectl forwards ports';

/** Raw metrics of one pod; where POD is a ztunnel, a waypoint or a gateway. */
const metricsOfPod = 'kubectl get --raw /api/v1/namespaces/NAMESPACE/pods/POD:15020/proxy/stats/prometheus';

/** Commands of istioctl, today's and earlier ones, that meshctl does not have; without `experimental`. */
export const istioctlSubstitutes: Readonly<Record<string, Substitute>> = {
  'add-to-mesh': { why: sidecars, instead: ['meshctl enroll NAMESPACE'] },
  admin: { why: controllerLevels, instead: ['meshctl install --set values.global.logging.level=debug'] },
  authz: { why: 'policies are shown with what they apply to', instead: ['meshctl describe pod POD'] },
  'check-inject': { why: sidecars, instead: ['meshctl enrollment -n NAMESPACE'] },
  'completion powershell': { why: 'there is no script for PowerShell', instead: ['meshctl completion bash'] },
  config: { why: 'settings are flags and the kubeconfig', instead: ['meshctl options'] },
  'create-remote-secret': { why: oneCluster, instead: ['meshctl --context NAME status'] },
  dashboard: {
    why: forwarding,
    instead: ['meshctl status --watch', 'kubectl port-forward -n NAMESPACE svc/kiali 20001'],
  },
  'envoy-stats': { why: 'the proxies are not Envoy', instead: [metricsOfPod] },
  injector: { why: sidecars, instead: ['meshctl enrollment -A'] },
  'internal-debug': {
    why: 'the controller has no such endpoint',
    instead: ['meshctl status', 'meshctl ztunnel-config all'],
  },
  istiod: { why: controllerLevels, instead: ['meshctl install --set values.global.logging.level=debug'] },
  'kube-inject': { why: sidecars, instead: ['meshctl enroll NAMESPACE'] },
  'manifest translate': {
    why: 'values are written as they are',
    instead: ['meshctl manifest generate -f FILE'],
  },
  metrics: { why: 'Prometheus computes rates from what proxies count', instead: [metricsOfPod] },
  operator: { why: 'there is no operator', instead: ['meshctl install'] },
  'post-install': { why: 'checks stand on their own', instead: ['meshctl verify-install'] },
  'remote-clusters': { why: oneCluster, instead: ['meshctl --context NAME status'] },
  'remove-from-mesh': { why: sidecars, instead: ['meshctl unenroll NAMESPACE'] },
  revision: { why: oneRevision, instead: ['meshctl version'] },
  tag: { why: oneRevision, instead: ['meshctl version', 'meshctl install'] },
  upgrade: { why: 'install brings an installation to its own version', instead: ['meshctl install'] },
  validate: { why: 'files are checked like the cluster is', instead: ['meshctl analyze -f FILE'] },
  workload: { why: 'machines outside the cluster cannot join', instead: ['meshctl ztunnel-config workload'] },
};

/** Short names that istioctl has for them. */
const shortNames: Readonly<Record<string, string>> = {
  d: 'dashboard',
  dash: 'dashboard',
  es: 'envoy-stats',
  m: 'metrics',
  v: 'validate',
};

/** What there is instead of the command that these words name in istioctl. */
export function substituteFor(words: readonly string[]): Substitute | undefined {
  const [first = '', second = ''] = words;
  const name = shortNames[first] ?? first;
  return istioctlSubstitutes[`${name} ${second}`] ?? istioctlSubstitutes[name];
}
