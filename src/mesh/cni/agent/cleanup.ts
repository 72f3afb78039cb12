import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isInRange } from '#base/net/ranges.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Pod } from '#base/kube/types.js';
import type { Installer } from '../installer/installer.js';
import { chooseNetns, releaseAll, scanNamespaces } from '../netns-finder.js';
import type { NodeContext } from './node-context.js';
import { podKeyOf, podAddress, podIps, workloadOf } from './pod-facts.js';
import type { LeavingPod } from './pod-mesh.js';

/** What a cleanup did, and what it could not do. Printed as JSON by `mesh-cni cleanup`. */
export interface CleanupReport {
  readonly node: string;
  /** Pods released, as namespace/name. */
  readonly unenrolled: readonly string[];
  readonly removed: readonly string[];
  /** Empty when nothing of the mesh is left on the node. */
  readonly left: readonly string[];
  readonly errors: readonly string[];
}

export interface CleanupDeps {
  readonly nodeName: string;
  readonly node: NodeContext;
  readonly installer: Installer;
  readonly runDir: string;
  /** Enrolled pods of the node: annotated, or known to a running agent. */
  readonly enrolled: () => Promise<readonly Pod[]>;
  /** Takes pods out with their peers' and ztunnel's knowledge; rejects with what failed. */
  readonly release: (leaving: readonly LeavingPod[]) => Promise<void>;
  /** Called when all pods are out: ends the sockets of a running agent. */
  readonly closeSockets: () => Promise<void>;
}

/**
 * Takes the mesh off the node while pods keep talking: first no new pod comes in (the
 * plugin goes), then the pods leave, then whatever else is found in any namespace.
 */
export async function cleanUpNode(deps: CleanupDeps): Promise<CleanupReport> {
  const removed: string[] = [];
  const errors: string[] = [];
  const unenrolled: string[] = [];
  const step = async (what: string, task: () => Promise<readonly string[]>): Promise<void> => {
    try {
      removed.push(...(await task()));
    } catch (error) {
      errors.push(`${what}: ${messageOf(error)}`);
    }
  };

  await step('remove the CNI plugin', () => deps.installer.uninstall());
  await step('release pods', () => releasePods(deps, unenrolled));
  await step('sweep namespaces', () => sweepNamespaces(deps));
  await step('remove host rules', async () => {
    // A pod that could not be released needs them: the kubelet's probes would not reach it.
    if ((await capturedNamespaces(deps.node)).length > 0) return [];
    const there = await deps.node.hostProbes.leftovers();
    await deps.node.hostProbes.uninstall();
    return there.map((what) => `host ${what}`);
  });
  await step('close sockets', async () => {
    await deps.closeSockets();
    return removeRunFiles(deps.runDir);
  });
  let left: readonly string[] = [];
  try {
    left = await findLeftovers(deps.node, deps.installer);
  } catch (error) {
    errors.push(`look for leftovers: ${messageOf(error)}`);
  }
  return { node: deps.nodeName, unenrolled, removed, left, errors };
}

async function releasePods(deps: CleanupDeps, unenrolled: string[]): Promise<readonly string[]> {
  const found = scanNamespaces(deps.node.finder);
  try {
    const leaving = (await deps.enrolled()).flatMap((pod) => {
      const netns = chooseNetns(podAddress(pod), found)?.handle;
      return netns === undefined ? [] : [{ pod, workload: workloadOf(pod), netns, ips: podIps(pod) }];
    });
    await deps.release(leaving);
    unenrolled.push(...leaving.map(({ pod }) => podKeyOf(pod)));
    return leaving.map(({ pod }) => `redirection of Pod ${podKeyOf(pod)}`);
  } finally {
    releaseAll(found);
  }
}

/** Rules nobody accounts for: of pods whose annotation was lost, or that the API server no longer has. */
async function sweepNamespaces({ node }: CleanupDeps): Promise<readonly string[]> {
  const removed: string[] = [];
  const found = scanNamespaces(node.finder);
  try {
    for (const { handle, addresses } of found) {
      const left = await node.redirection.leftovers(handle.fd);
      if (left.length === 0) continue;
      await node.redirection.remove(handle.fd);
      removed.push(`redirection in the namespace of ${[...addresses].join(', ')}`);
    }
  } finally {
    releaseAll(found);
  }
  return removed;
}

async function removeRunFiles(runDir: string): Promise<readonly string[]> {
  const names = await readdir(runDir).catch(() => []);
  const ours = names.filter((name) =>
    /^(istio-cni.*|xtables-.*\.lock|plugin|pluginevent\.sock|log\.sock)$/.test(name),
  );
  for (const name of ours) await rm(join(runDir, name), { recursive: true, force: true });
  return ours.map((name) => join(runDir, name));
}

/** Everything of the mesh that is on the node now, in words. */
export async function findLeftovers(node: NodeContext, installer: Installer): Promise<readonly string[]> {
  const left: string[] = [];
  for (const what of await node.hostProbes.leftovers()) left.push(`host ${what}`);
  for (const { where, rules } of await capturedNamespaces(node))
    left.push(...rules.map((what) => `pod namespace (${where}) ${what}`));
  return [...left, ...(await installer.leftovers())];
}

/** Namespaces of the node with anything of the mesh in them, by their addresses. */
async function capturedNamespaces(
  node: NodeContext,
): Promise<readonly { readonly where: string; readonly rules: readonly string[] }[]> {
  const captured: { where: string; rules: readonly string[] }[] = [];
  const found = scanNamespaces(node.finder);
  try {
    for (const { handle, addresses } of found) {
      const where = [...addresses].filter((ip) => !isInRange(ip, 'loopback')).join(', ');
      const rules = await node.redirection.leftovers(handle.fd);
      if (rules.length > 0) captured.push({ where, rules });
    }
  } finally {
    releaseAll(found);
  }
  return captured;
}
