import { isForbidden } from '#base/kube/api-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { events, pathOf, pods } from '#base/kube/resource.js';
import type { KubeEvent, Pod } from '#base/kube/types.js';
import { podReason } from './pod-reason.js';

const logLinesMax = 5;
const eventsMax = 3;
const logMaxBytes = 20_000;

/** Why a pod is not ready: container state, scheduling, the last event and log lines; undefined when it is ready. */
export async function explainPod(client: KubeClient, pod: Pod): Promise<string | undefined> {
  const isReady = pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true;
  if (isReady) return undefined;
  const { name, namespace = '' } = pod.metadata;
  const where = `pod ${namespace}/${name}${pod.spec.nodeName === undefined ? '' : ` on node ${pod.spec.nodeName}`}`;
  const lines = [`${where}: ${podReason(pod)}`];
  const event = await lastWarning(client, pod);
  if (event !== undefined) lines.push(`  event: ${event}`);
  for (const line of await lastLogLines(client, pod)) lines.push(`  log: ${line}`);
  return lines.join('\n');
}

async function lastWarning(client: KubeClient, pod: Pod): Promise<string | undefined> {
  return (await podEvents(client, pod)).at(-1);
}

/** Warnings of the last events of a pod, oldest first; none when the user may not read events. */
export async function podEvents(client: KubeClient, pod: Pod): Promise<readonly string[]> {
  try {
    const list = await client.list<KubeEvent>(events, {
      namespace: pod.metadata.namespace,
      fieldSelector: `involvedObject.name=${pod.metadata.name}`,
    });
    const warnings = list
      .filter((e) => e.type === 'Warning')
      .map(({ reason = '', message = '' }) => `${reason}: ${message}`);
    return [...new Set(warnings)].slice(-eventsMax);
  } catch {
    // Events only add to the explanation; a user who may not read them still gets the rest.
    return [];
  }
}

/** Why pods of a workload were refused: events of the workload, or of the ReplicaSet a Deployment made. */
export async function failedCreates(
  client: KubeClient,
  namespace: string,
  workload: string,
): Promise<readonly string[]> {
  try {
    const list = await client.list<KubeEvent>(events, { namespace, fieldSelector: 'reason=FailedCreate' });
    const own = list.filter(({ involvedObject: { name = '' } }) => {
      // A ReplicaSet has the name of its Deployment and a hash; "web-b" is another workload than "web".
      const hash = name.startsWith(`${workload}-`) ? name.slice(workload.length + 1) : undefined;
      return name === workload || (hash !== undefined && !hash.includes('-'));
    });
    const latest = own.sort((a, b) => timeOf(b).localeCompare(timeOf(a)));
    return [...new Set(latest.map(({ message }) => message ?? ''))].slice(0, 3);
  } catch (error) {
    if (isForbidden(error)) return [];
    throw error;
  }
}

function timeOf({ lastTimestamp, eventTime, firstTimestamp }: KubeEvent): string {
  return lastTimestamp ?? eventTime ?? firstTimestamp ?? '';
}

/** What admits pods that were refused in a namespace, as the first refusal tells; undefined when it tells nothing of it. */
export function refusalFix([message = '']: readonly string[], namespace: string): string | undefined {
  const quota = /(?:exceeded|failed) quota: ([^,\s]+)/.exec(message)?.[1];
  if (quota !== undefined)
    return `Raise it, or remove it: kubectl edit resourcequota ${quota.replace(/:$/, '')} -n ${namespace}`;
  if (/PodSecurity|violates/.test(message)) {
    return `kubectl label namespace ${namespace} --overwrite pod-security.kubernetes.io/enforce=privileged: node agents need the network of the node`;
  }
  return undefined;
}

async function lastLogLines(client: KubeClient, pod: Pod): Promise<string[]> {
  const { name, namespace } = pod.metadata;
  const container = pod.spec.containers[0]?.name;
  const hasRun = (pod.status?.containerStatuses ?? []).some((c) => c.restartCount > 0 || c.started === true);
  if (!hasRun) return [];
  try {
    const text = await client.request<string | undefined>({
      method: 'GET',
      path: pathOf(pods, { namespace, name, subresource: 'log' }),
      query: { tailLines: logLinesMax, limitBytes: logMaxBytes, container },
    });
    // A container that has written nothing has an empty answer.
    return String(text ?? '')
      .trimEnd()
      .split('\n')
      .filter((line) => line !== '');
  } catch {
    // As with events: logs of a container that is just restarting cannot be read.
    return [];
  }
}
