import { counted } from '#base/collections/counted.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { componentPods } from '../../inspect/component-pods.js';
import type { KubeClient } from '#base/kube/client.js';
import { execInPod } from '#base/kube/exec.js';
import { redirection } from '#base/kube/labels.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import type { InstallReporter } from '../reporter.js';

/** What happened on a node: `mesh-cni cleanup` prints it. */
export interface NodeCleanup {
  readonly node: string;
  /** Pods released, as namespace/name. */
  readonly unenrolled: readonly string[];
  readonly removed: readonly string[];
  /** What of the mesh is still on the node. */
  readonly left: readonly string[];
  readonly errors: readonly string[];
}

/** Nodes cleaned at once. */
const nodesAtOnceMax = 16;
const agentContainer = 'install-cni';

/**
 * Has every node's agent take its node out of the mesh while everything still runs:
 * pods keep their connections. Nodes with captured pods and no agent are reported as
 * failed: nobody is there to release them.
 */
export async function cleanUpNodes(
  client: KubeClient,
  o: { meshNamespace: string; timeoutMs: number; reporter: InstallReporter },
): Promise<NodeCleanup[]> {
  const agents = await componentPods(client, 'cni', o.meshNamespace);
  const reports = await mapConcurrently(
    agents,
    async (agent) => {
      const node = agent.spec.nodeName ?? agent.metadata.name;
      const step = o.reporter.step(`Node ${node}`);
      step.update('releasing pods, removing rules and plugin');
      const report = await cleanUpNode(client, agent, { node, timeoutMs: o.timeoutMs });
      const problems = [...report.left, ...report.errors];
      if (problems.length === 0)
        step.succeed(`${counted(report.unenrolled.length, 'pod')} released, nothing left`);
      else step.fail(problems[0]);
      return report;
    },
    nodesAtOnceMax,
  );
  return [...reports, ...(await nodesWithoutAgent(client, reports))];
}

async function cleanUpNode(
  client: KubeClient,
  agent: Pod,
  o: { node: string; timeoutMs: number },
): Promise<NodeCleanup> {
  const failed = (error: string): NodeCleanup => ({
    node: o.node,
    unenrolled: [],
    removed: [],
    left: [],
    errors: [error],
  });
  try {
    const result = await execInPod(client, {
      namespace: agent.metadata.namespace ?? '',
      pod: agent.metadata.name,
      container: agentContainer,
      command: ['mesh-cni', 'cleanup'],
      timeoutMs: o.timeoutMs,
    });
    // The report comes also with a non-zero exit code: it says what is left.
    const report = parseReport(result.stdout);
    if (report !== undefined) return { ...report, node: o.node };
    return failed(`mesh-cni cleanup ended with ${result.exitCode}: ${result.stderr.trim().slice(-500)}`);
  } catch (error) {
    return failed(`${agent.metadata.name}: ${messageOf(error)}`);
  }
}

function parseReport(stdout: string): NodeCleanup | undefined {
  try {
    const report = JSON.parse(stdout) as Partial<NodeCleanup>;
    const { node, unenrolled, removed, left, errors } = report;
    if (!Array.isArray(left) || !Array.isArray(errors)) return undefined;
    return { node: node ?? '', unenrolled: unenrolled ?? [], removed: removed ?? [], left, errors };
  } catch {
    // Not a report; the caller tells what came instead.
    return undefined;
  }
}

async function nodesWithoutAgent(
  client: KubeClient,
  cleaned: readonly NodeCleanup[],
): Promise<NodeCleanup[]> {
  const known = new Set(cleaned.map((r) => r.node));
  const stranded = new Map<string, string[]>();
  for (const pod of await client.list<Pod>(pods)) {
    const node = pod.spec.nodeName;
    if (node === undefined || known.has(node) || pod.metadata.annotations?.[redirection] === undefined)
      continue;
    stranded.set(node, [...(stranded.get(node) ?? []), `${pod.metadata.namespace}/${pod.metadata.name}`]);
  }
  return [...stranded].map(([node, names]) => ({
    node,
    unenrolled: [],
    removed: [],
    left: names.map((name) => `redirection of Pod ${name}`),
    errors: ['no CNI agent runs on the node'],
  }));
}
