import { counted } from '#base/collections/counted.js';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import { dataplaneMode, gatewayManaged, waypointClass } from '#base/kube/labels.js';
import {
  apiVersionOf,
  configMaps,
  customResourceDefinitions,
  gateways,
  namespaces,
  pods,
} from '#base/kube/resource.js';
import type { Gateway, KubeObject, Namespace, Pod } from '#base/kube/types.js';
import { type Inventory, inventoryName, readInventory, union, without } from '../apply/inventory.js';
import { detachAll } from '../waypoint/detach.js';
import { isOurs } from '../apply/field-manager.js';
import { nameOf, refOf } from '../apply/plan-changes.js';
import { declarerOf, isOurCrd, isToBeReleased, releaseCrd } from '../apply/crd-ownership.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import type { InstallReporter } from '../reporter.js';
import { type Dependents, findDependents } from './dependents.js';
import {
  authoritySecrets,
  clearAnnotations,
  findGenerated,
  type GeneratedObject,
  listKnown,
} from './generated-objects.js';
import { resetGatewayStatus } from './gateway-status.js';
import { removeMeshNamespace, whyMeshNamespaceStays } from './mesh-namespace.js';
import { cleanUpNodes, type NodeCleanup } from './node-cleanup.js';
import { removeStaleConditions } from './stale-conditions.js';

export interface UninstallRequest {
  readonly client: KubeClient;
  readonly namespace: string;
  /** Delete the CRDs as well, and with them all mesh configuration. */
  readonly isPurge: boolean;
  /** Go on although a node could not be cleaned. */
  readonly isForced: boolean;
  /** Milliseconds for the nodes, and again for the pods to end. */
  readonly timeoutMs: number;
  /** When all must be over, by performance.now; undefined: only each wait is bounded. */
  readonly deadlineMs?: number | undefined;
  readonly signal: AbortSignal;
  readonly reporter: InstallReporter;
}

/** What an uninstall would meet. */
export interface UninstallPlan {
  /** Without the CRDs that are somebody else's by now. */
  readonly inventory: Inventory;
  /** CRDs that somebody else declared after us: they stay, and what we put on them is taken off. */
  readonly released: readonly KubeObject[];
  readonly dependents: Dependents;
  /** What would be deleted, in order, as {@link UninstallReport} names it. */
  readonly removals: readonly string[];
  readonly kept: readonly Kept[];
}

/** Something that stays on purpose, and why. */
export interface Kept {
  readonly object: string;
  readonly why: string;
}

/** What was done. */
export interface UninstallReport {
  readonly nodes: readonly NodeCleanup[];
  readonly removed: readonly string[];
  readonly kept: readonly Kept[];
  /** Should be gone and is not. */
  readonly left: readonly string[];
}

const pollIntervalMs = 300;

/**
 * Reads what is installed and who depends on it. A purge also finds what an earlier
 * uninstall without it left in place. @throws MESH0309
 */
export async function planUninstall(
  client: KubeClient,
  o: { readonly namespace: string; readonly isPurge: boolean },
): Promise<UninstallPlan> {
  const { namespace } = o;
  const crds = await markedCrds(client);
  const recorded = await readInventory(client, namespace);
  const inventory = recorded ?? (o.isPurge ? await remains(client, namespace, crds.ours) : undefined);
  if (inventory === undefined) {
    throw new MeshError('MESH0309', `no mesh is installed in namespace ${namespace}`);
  }
  const others = without(inventory.objects.filter(isCrd), crds.ours);
  // A purge takes every CRD of ours, also one that later versions no longer install.
  const objects = o.isPurge ? union(inventory.objects, crds.ours) : inventory.objects;
  const plan = {
    inventory: { ...inventory, objects: without(objects, others) },
    released: crds.released,
    dependents: await findDependents(client),
  };
  return { ...plan, ...(await foresee(client, plan, { ...o, isRecorded: recorded !== undefined })) };
}

/** What an uninstall would delete and keep, in its order, without doing any of it. */
async function foresee(
  client: KubeClient,
  plan: Pick<UninstallPlan, 'inventory' | 'released' | 'dependents'>,
  { namespace, isPurge, isRecorded }: { namespace: string; isPurge: boolean; isRecorded: boolean },
): Promise<Pick<UninstallPlan, 'removals' | 'kept'>> {
  const objects = plan.inventory.objects.toReversed();
  const [live, generated, waypoints] = await Promise.all([
    mapConcurrently(objects, (object) => client.getOrUndefined<KubeObject>(refOf(object))),
    findGenerated(client, namespace),
    isPurge ? waypointGateways(client) : [],
  ]);
  const there = objects.filter((_, index) => live[index] !== undefined);
  const names = (of: (object: KubeObject) => boolean): string[] => there.filter(of).map(nameOf);
  const removals = [
    ...names(isWorkload),
    ...generated.filter((g) => isRemoved(g, isPurge)).map(generatedName),
    ...names((object) => !isWorkload(object) && !isKeptForLater(object)),
    ...waypoints.map(generatedName),
    ...(isPurge ? names(isCrd) : []),
    ...(isRecorded ? [recordName(namespace)] : []),
  ];
  const going = new Set(removals);
  const workloads = there.filter(isWorkload).map(({ metadata }) => metadata.name);
  const whyNamespace = isPurge
    ? await whyMeshNamespaceStays(client, namespace, (object, kind) => {
        if (going.has(`${kind} ${namespace}/${object.metadata.name}`)) return true;
        return kind === pods.kind && isPodOf(object, workloads);
      })
    : undefined;
  const isNamespaceThere =
    isPurge &&
    (await client.getOrUndefined<Namespace>({ resource: namespaces, name: namespace })) !== undefined;
  if (isNamespaceThere && whyNamespace === undefined) removals.push(`Namespace ${namespace}`);
  const authority = generated.filter((g) => !isRemoved(g, isPurge)).map(generatedName);
  return { removals, kept: keptOf(plan, { namespace, isPurge, whyNamespace, authority }) };
}

/** Whether a pod was made by one of these Deployments and DaemonSets. */
function isPodOf({ metadata }: KubeObject, workloads: readonly string[]): boolean {
  const owner = metadata.ownerReferences?.find((reference) => reference.controller === true);
  return workloads.some((name) => owner?.name === name || owner?.name.startsWith(`${name}-`) === true);
}

/** What stays on purpose. */
function keptOf(
  plan: Pick<UninstallPlan, 'inventory' | 'released' | 'dependents'>,
  o: {
    readonly namespace: string;
    readonly isPurge: boolean;
    /** Of a purge: why the namespace stays. */
    readonly whyNamespace: string | undefined;
    readonly authority: readonly string[];
  },
): readonly Kept[] {
  const crds = plan.inventory.objects.toReversed().filter(isCrd);
  return [
    ...plan.released.map((crd) => ({
      object: nameOf(crd),
      why: `${declarerOf(crd)} replaced it, it is theirs`,
    })),
    ...(o.isPurge
      ? []
      : crds.map((crd) => ({
          object: nameOf(crd),
          why: 'deleting it would delete your configuration (--purge)',
        }))),
    ...(o.isPurge
      ? []
      : [{ object: `Namespace ${o.namespace}`, why: 'it holds the certificate authority (--purge)' }]),
    ...(o.whyNamespace === undefined ? [] : [{ object: `Namespace ${o.namespace}`, why: o.whyNamespace }]),
    ...o.authority.map((object) => ({
      object,
      why: 'a later installation goes on with the same certificate authority (--purge)',
    })),
    ...plan.dependents.namespaces.map((name) => ({
      object: `label ${dataplaneMode}=ambient of Namespace ${name}`,
      why: 'it says what you want; a later installation takes its pods in again (meshctl unenroll)',
    })),
  ];
}

/** The CRDs that are ours, and those that became somebody else's and still carry something of ours. */
async function markedCrds(client: KubeClient): Promise<{ ours: KubeObject[]; released: KubeObject[] }> {
  const live = await client.list<KubeObject>(customResourceDefinitions, { isMetadataOnly: true });
  // Items of a list of metadata do not say of what kind they are.
  const { kind } = customResourceDefinitions;
  const crds = live.map((crd) => ({ ...crd, apiVersion: apiVersionOf(customResourceDefinitions), kind }));
  return { ours: crds.filter(isOurCrd), released: crds.filter(isToBeReleased) };
}

/** CRDs and namespace of an installation that is gone; undefined when there are none. */
async function remains(
  client: KubeClient,
  namespace: string,
  crds: readonly KubeObject[],
): Promise<Inventory | undefined> {
  const space = await client.getOrUndefined<Namespace>({ resource: namespaces, name: namespace });
  const objects = [...(space !== undefined && isOurs(space) ? [space] : []), ...crds];
  if (objects.length === 0) return undefined;
  return { version: '', profile: '', platform: '', given: {}, objects, isComplete: false };
}

function isCrd(object: KubeObject): boolean {
  return object.kind === customResourceDefinitions.kind;
}

function isWorkload({ kind }: KubeObject): boolean {
  return kind === 'DaemonSet' || kind === 'Deployment';
}

/** Not deleted with the other objects: only by a purge, and at the end. */
function isKeptForLater(object: KubeObject): boolean {
  return isCrd(object) || object.kind === namespaces.kind;
}

/** The authority outlives an uninstall: certificates of a later installation are then trusted by what still runs. */
function isRemoved({ name }: GeneratedObject, isPurge: boolean): boolean {
  return isPurge || !authoritySecrets.includes(name);
}

function recordName(namespace: string): string {
  return `${configMaps.kind} ${namespace}/${inventoryName}`;
}

/**
 * Takes the mesh away in the order that keeps pods talking: nodes release their pods
 * while everything runs, then the workloads end, then the objects go, last the record
 * of them, so that an interrupted run can be repeated.
 * @throws MESH0310 before anything is deleted when a node could not be cleaned
 */
export async function uninstall(plan: UninstallPlan, request: UninstallRequest): Promise<UninstallReport> {
  const { client, namespace, reporter, signal } = request;
  const nodes = await cleanUpNodes(client, {
    meshNamespace: namespace,
    timeoutMs: request.timeoutMs,
    reporter,
  });
  requireClean(nodes, request.isForced);
  const removed: string[] = [];
  /** What is kept of the certificate authority. */
  const authority: string[] = [];
  const objects = plan.inventory.objects.toReversed();

  const remove = async (group: readonly KubeObject[]): Promise<void> => {
    const gone = await mapConcurrently(group, async (o) => {
      signal.throwIfAborted();
      return client.delete(refOf(o));
    });
    removed.push(...group.filter((_, i) => gone[i] === true).map(nameOf));
  };

  await during(reporter, 'Components', async (step) => {
    const workloads = objects.filter(isWorkload);
    await remove(workloads);
    await waitForPodsToEnd(request, podsOf(request.namespace, workloads), (text) => step.update(text));
    return `${workloads.length} removed`;
  });
  // Only now: a running controller would make them again.
  await during(reporter, 'Objects made by the controller', async (step) => {
    const found = await findGenerated(client, namespace);
    const generated = found.filter((g) => isRemoved(g, request.isPurge));
    authority.push(...found.filter((g) => !isRemoved(g, request.isPurge)).map(generatedName));
    await mapConcurrently(generated, (g) => client.delete(g));
    removed.push(...generated.map(generatedName));
    await Promise.all([resetGatewayStatus(client), removeStaleConditions(client)]);
    await waitForPodsToEnd(request, [{ labelSelector: gatewayManaged }], (text) => step.update(text));
    const cleared = await clearAnnotations(client);
    return `${generated.length} removed${cleared.length > 0 ? `, ${counted(cleared.length, 'annotation')} cleared` : ''}`;
  });
  await during(reporter, 'Accounts, permissions, configuration', async () => {
    const rest = objects.filter((o) => !isWorkload(o) && !isKeptForLater(o));
    await remove(rest);
    return `${rest.length} removed`;
  });
  if (request.isPurge) {
    await during(reporter, 'Waypoints', async () => {
      const own = await waypointGateways(client);
      await mapConcurrently(own, (g) => client.delete(g));
      removed.push(...own.map(generatedName));
      const users = await detachAll(client);
      return `${own.length} removed${users.length > 0 ? `, ${users.join(', ')} no longer bound to one` : ''}`;
    });
  }
  const crds = objects.filter(isCrd);
  if (request.isPurge && crds.length > 0) {
    await during(reporter, 'Custom resource definitions', async () => {
      await remove(crds);
      return `${crds.length} removed, with all objects of these kinds`;
    });
  }
  for (const { metadata } of plan.released) await releaseCrd(client, metadata.name, reporter);
  if (await client.delete({ resource: configMaps, name: inventoryName, namespace })) {
    removed.push(recordName(namespace));
  }
  let whyNamespace: string | undefined;
  if (request.isPurge) {
    whyNamespace = await removeMeshNamespace(client, namespace);
    if (whyNamespace === undefined) {
      removed.push(`Namespace ${namespace}`);
      await waitForNamespaceToEnd(request);
    }
  }
  const kept = keptOf(plan, { namespace, isPurge: request.isPurge, whyNamespace, authority });
  return { nodes, removed, kept, left: await findLeft(request, objects, nodes) };
}

function requireClean(nodes: readonly NodeCleanup[], isForced: boolean): void {
  const problems = nodes.flatMap((n) => [...n.errors, ...n.left].map((text) => `node ${n.node}: ${text}`));
  if (problems.length === 0 || isForced) return;
  throw new MeshError('MESH0310', 'a node could not be taken out of the mesh; no object was deleted', {
    evidence: problems.join('\n'),
    hint: 'Run the command again once the cause is gone, or with --force to go on; pods there may need a restart.',
  });
}

/** Pods of a workload, or of every Gateway. */
interface PodSelection {
  readonly namespace?: string;
  readonly labelSelector: string;
}

function podsOf(namespace: string, workloads: readonly KubeObject[]): PodSelection[] {
  return workloads.map((w) => {
    // Workloads of an inventory were rendered from our templates, which select by labels only.
    const { spec } = w as KubeObject & { spec: { selector: { matchLabels?: Record<string, string> } } };
    const labels = Object.entries(spec.selector.matchLabels ?? {});
    return { namespace, labelSelector: labels.map(([k, v]) => `${k}=${v}`).join(',') };
  });
}

async function waitForPodsToEnd(
  request: UninstallRequest,
  selections: readonly PodSelection[],
  onWait: (text: string) => void,
): Promise<void> {
  const deadline = deadlineOf(request);
  for (;;) {
    request.signal.throwIfAborted();
    const lists = await Promise.all(selections.map((selection) => request.client.list<Pod>(pods, selection)));
    const running = lists.flat();
    if (running.length === 0) return;
    if (performance.now() > deadline) {
      throw new MeshError('MESH0310', `${counted(running.length, 'pod')} of the mesh still running`, {
        evidence: running.map((p) => `Pod ${p.metadata.namespace}/${p.metadata.name}`).join('\n'),
      });
    }
    onWait(`${counted(running.length, 'pod')} still running`);
    await delay(pollIntervalMs, undefined, { signal: request.signal });
  }
}

/** Looks again, after everything: what an uninstall must not leave. */
async function findLeft(
  request: UninstallRequest,
  objects: readonly KubeObject[],
  nodes: readonly NodeCleanup[],
): Promise<string[]> {
  const { client } = request;
  const onNodes = nodes.flatMap((n) => n.left.map((text) => `node ${n.node}: ${text}`));
  const expected = objects.filter((o) => o.kind !== 'Namespace' && (request.isPurge || !isCrd(o)));
  const live = await mapConcurrently(expected, (o) => client.getOrUndefined<KubeObject>(refOf(o)));
  const generated = (await findGenerated(client, request.namespace)).filter((g) =>
    isRemoved(g, request.isPurge),
  );
  const crds = request.isPurge ? (await markedCrds(client)).ours : [];
  return [
    ...onNodes,
    ...live
      .filter((o) => o !== undefined && o.metadata.deletionTimestamp === undefined)
      .map((o) => (o === undefined ? '' : nameOf(o))),
    ...generated.filter((g) => g.namespace !== request.namespace).map(generatedName),
    ...crds.filter((c) => c.metadata.deletionTimestamp === undefined).map(nameOf),
  ];
}

async function waypointGateways(client: KubeClient): Promise<GeneratedObject[]> {
  return (await listKnown<Gateway>(client, gateways))
    .filter((g) => g.spec.gatewayClassName === waypointClass)
    .map(({ metadata }) => ({
      resource: gateways,
      name: metadata.name,
      namespace: metadata.namespace ?? '',
    }));
}

/** The end of a wait that begins now. */
function deadlineOf({ timeoutMs, deadlineMs = Number.POSITIVE_INFINITY }: UninstallRequest): number {
  return Math.min(performance.now() + timeoutMs, deadlineMs);
}

/** @throws MESH0310 when it does not go within the time */
async function waitForNamespaceToEnd(request: UninstallRequest): Promise<void> {
  const { client, namespace, signal, reporter } = request;
  const deadline = deadlineOf(request);
  await during(reporter, `Namespace ${namespace}`, async (step) => {
    for (;;) {
      signal.throwIfAborted();
      const live = await client.getOrUndefined<Namespace>({ resource: namespaces, name: namespace });
      if (live === undefined) return 'removed';
      const why = live.status?.conditions?.find((c) => c.status === 'True' && c.message !== undefined);
      if (performance.now() > deadline) {
        throw new MeshError('MESH0310', `Namespace ${namespace} does not end`, { evidence: why?.message });
      }
      step.update(why?.message ?? 'waiting for it to end');
      await delay(pollIntervalMs, undefined, { signal });
    }
  });
}

function generatedName(g: GeneratedObject): string {
  return `${g.resource.kind} ${g.namespace === undefined ? '' : `${g.namespace}/`}${g.name}`;
}

async function during(
  reporter: InstallReporter,
  title: string,
  work: (step: { update(text: string): void }) => Promise<string>,
): Promise<void> {
  const step = reporter.step(title);
  try {
    step.succeed(await work(step));
  } catch (error) {
    step.fail('failed');
    throw error;
  }
}
