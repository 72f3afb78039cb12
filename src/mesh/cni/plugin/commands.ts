import { join } from 'node:path';
import { decideEnrollment } from '../../rules/enrollment.js';
import { CniError, cniErrorCodes } from './cni-error.js';
import { agentIps, type NetConf, parseCniArgs, parseNetConf, supportedVersions } from './netconf.js';
import type { PluginLog } from './plugin-log.js';
import { lookUpPod } from './pod-lookup.js';
import { exchange } from './small-http.js';

const agentTimeoutMs = 5_000;
const lookupAttempts = 2;
const lookupAttemptsRetrying = 31;

/** Runs one CNI command; the result is what goes to stdout (undefined: nothing). Throws {@link CniError}. */
export async function runCommand(
  env: NodeJS.ProcessEnv,
  stdin: string,
  log: (conf: NetConf) => PluginLog,
): Promise<unknown> {
  const command = env['CNI_COMMAND'];
  switch (command) {
    case 'VERSION':
      return { cniVersion: versionOf(stdin), supportedVersions };
    case 'ADD': {
      const conf = parseNetConf(stdin);
      await add(conf, env, log(conf));
      return conf.prevResult ?? { cniVersion: conf.cniVersion };
    }
    // The agent follows pods by itself: a deleted one takes its namespace, and the rules in it, along.
    case 'DEL':
    case 'CHECK':
    case 'GC':
    case 'STATUS':
      return undefined;
    default:
      throw new CniError(
        cniErrorCodes.invalidEnvironment,
        command === undefined ? 'CNI_COMMAND is not set' : `CNI_COMMAND ${command} is not known`,
        'this program is a CNI plugin: a container runtime calls it',
      );
  }
}

/** Holds a mesh pod back until its redirection is live; lets every other pod pass. */
async function add(conf: NetConf, env: NodeJS.ProcessEnv, log: PluginLog): Promise<void> {
  const args = parseCniArgs(env['CNI_ARGS']);
  const name = args.get('K8S_POD_NAME') ?? '';
  const namespace = args.get('K8S_POD_NAMESPACE') ?? '';
  if (name === '' || namespace === '') {
    log.debug('not a Kubernetes pod, nothing to do', {});
    return;
  }
  const pod = `${namespace}/${name}`;
  if (!conf.ambient_enabled) return;
  // Its own agent could never start if it had to ask itself.
  if (namespace === conf.pod_namespace && name.startsWith('istio-cni-node-')) return;
  if (conf.exclude_namespaces.includes(namespace)) return;

  const found = await lookUpPod({
    kubeconfigPath: join(conf.cni_agent_run_dir, 'istio-cni-kubeconfig'),
    namespace,
    name,
    attempts: conf.enable_ambient_detection_retry ? lookupAttemptsRetrying : lookupAttempts,
  });
  const decision = decideEnrollment(found.pod, found.namespaceLabels, {
    selectors: conf.enablement_selectors,
    excludeNamespaces: conf.exclude_namespaces,
    systemNamespace: conf.pod_namespace,
  });
  if (!decision.isEnrolled) {
    log.debug('pod is not for the mesh', { pod, reason: decision.reason });
    return;
  }
  const netns = env['CNI_NETNS'] ?? '';
  if (netns === '') throw new CniError(cniErrorCodes.invalidEnvironment, 'CNI_NETNS is not set');
  await reportToAgent(conf, { Netns: netns, PodName: name, PodNamespace: namespace });
  log.info('pod is in the mesh', { pod, netns });
}

async function reportToAgent(
  conf: NetConf,
  pod: { readonly Netns: string; readonly PodName: string; readonly PodNamespace: string },
): Promise<void> {
  const what = `Pod ${pod.PodNamespace}/${pod.PodName}`;
  const ips = agentIps(conf.prevResult);
  const body = JSON.stringify({ ...pod, IPs: ips.length === 0 ? null : ips });
  const socketPath = join(conf.cni_agent_run_dir, 'pluginevent.sock');
  const options = { socketPath, path: '/cmdadd', method: 'POST', headers: { host: 'unix' } };
  let answer: { status: number; body: string };
  try {
    answer = await exchange({ isTls: false, options }, { timeoutMs: agentTimeoutMs, body });
  } catch (error) {
    throw new CniError(
      cniErrorCodes.tryAgainLater,
      `${what} waits for the mesh: the CNI agent of this node cannot be reached`,
      `${socketPath}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  if (answer.status !== 200) {
    throw new CniError(
      cniErrorCodes.agentRefused,
      `${what} could not be added to the mesh`,
      `the CNI agent answered ${answer.status}: ${answer.body.trim().slice(0, 1_000)}`,
    );
  }
}

/** VERSION answers also when stdin holds nothing of use. */
function versionOf(stdin: string): string {
  try {
    const value = JSON.parse(stdin) as { cniVersion?: unknown };
    return typeof value.cniVersion === 'string' ? value.cniVersion : '1.0.0';
  } catch {
    return '1.0.0';
  }
}
