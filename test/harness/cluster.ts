import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { parseAllDocuments } from 'yaml';
import type { KubeClient } from '#base/kube/client.js';
import { type ExecResult, execInPod } from '#base/kube/exec.js';
import {
  authorizationPolicies,
  configMaps,
  daemonSets,
  deployments,
  endpointSlices,
  gateways,
  namespaces,
  peerAuthentications,
  pods,
  type Resource,
  serviceAccounts,
  services,
} from '#base/kube/resource.js';
import type { KubeObject, Pod } from '#base/kube/types.js';

const known: readonly Resource[] = [
  namespaces,
  serviceAccounts,
  configMaps,
  pods,
  services,
  endpointSlices,
  deployments,
  daemonSets,
  gateways,
  authorizationPolicies,
  peerAuthentications,
];

/** Server-side applies every document of a YAML text, in order. */
export async function applyYaml(client: KubeClient, yaml: string): Promise<void> {
  for (const document of parseAllDocuments(yaml)) {
    const object = document.toJS() as KubeObject | null;
    if (object === null) continue;
    const base = known.find((r) => r.kind === object.kind);
    if (base === undefined) throw new Error(`applyYaml does not know kind ${object.kind}`);
    const [version = '', group = ''] = object.apiVersion.split('/').reverse();
    await client.apply({ ...base, version, group }, object, { fieldManager: 'test', force: true });
  }
}

/** As {@link applyYaml}, from a file of the project. */
export function applyFile(client: KubeClient, path: string): Promise<void> {
  return applyYaml(client, readFileSync(path, 'utf8'));
}

/** The running, ready pods with a label, newest last. */
export async function readyPods(
  client: KubeClient,
  namespace: string,
  labelSelector: string,
): Promise<readonly Pod[]> {
  const all = await client.list<Pod>(pods, { namespace, labelSelector });
  return all.filter(
    (p) =>
      p.metadata.deletionTimestamp === undefined &&
      p.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') === true,
  );
}

/** Waits until `count` pods with a label are ready; throws what was there instead. */
export async function waitForPods(
  client: KubeClient,
  o: { namespace: string; labelSelector: string; count: number; timeoutMs?: number },
): Promise<readonly Pod[]> {
  return eventually(
    async () => {
      const ready = await readyPods(client, o.namespace, o.labelSelector);
      if (ready.length === o.count) return ready;
      const all = await client.list<Pod>(pods, { namespace: o.namespace, labelSelector: o.labelSelector });
      const seen = all.map(
        (p) =>
          `${p.metadata.name} ${p.status?.phase} ${JSON.stringify(p.status?.containerStatuses?.[0]?.state)}`,
      );
      throw new Error(
        `${ready.length} of ${o.count} pods ready with ${o.labelSelector} in ${o.namespace}: ${seen.join('; ')}`,
      );
    },
    { timeoutMs: o.timeoutMs ?? 60_000 },
  );
}

/** Runs a command in the first container of the first ready pod with a label. */
export async function execIn(
  client: KubeClient,
  o: { namespace: string; labelSelector: string; command: readonly string[]; timeoutMs?: number },
): Promise<ExecResult> {
  const [pod] = await waitForAny(client, o.namespace, o.labelSelector);
  if (pod === undefined) throw new Error(`no ready pod with ${o.labelSelector} in ${o.namespace}`);
  return execInPod(client, {
    namespace: o.namespace,
    pod: pod.metadata.name,
    container: pod.spec.containers[0]?.name ?? '',
    command: o.command,
    timeoutMs: o.timeoutMs,
  });
}

function waitForAny(client: KubeClient, namespace: string, labelSelector: string): Promise<readonly Pod[]> {
  return eventually(
    async () => {
      const ready = await readyPods(client, namespace, labelSelector);
      if (ready.length === 0) throw new Error(`no ready pod with ${labelSelector} in ${namespace}`);
      return ready;
    },
    { timeoutMs: 30_000 },
  );
}

const pollMs = 150;

/** Repeats `attempt` until it does not throw; past the deadline throws its last error. */
export async function eventually<T>(attempt: () => Promise<T>, o: { timeoutMs: number }): Promise<T> {
  const deadline = Date.now() + o.timeoutMs;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(pollMs);
    }
  }
}
