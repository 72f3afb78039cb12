import { MeshError } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { KubeObject } from '#base/kube/types.js';
import { releaseCrd } from './apply/crd-ownership.js';
import { fieldManager } from './apply/field-manager.js';
import {
  type Inventory,
  isSame,
  prunable,
  readInventory,
  recordedFor,
  union,
  without,
  writeInventory,
} from './apply/inventory.js';
import { asRefusal, nameOf, planChanges, type PlannedChange, refOf } from './apply/plan-changes.js';
import { waitUntilReady } from './apply/readiness.js';
import { waitForWaypoints } from './apply/waypoint-rollout.js';
import { detectCluster, type PlatformFacts } from './cluster/platform.js';
import { requireNoForeignMesh, requireOneNamespace } from './cluster/foreign-mesh.js';
import { permissionsFor, requirePermissions } from './cluster/permissions.js';
import { mapConcurrently } from '#base/system/concurrency.js';
import { resourceOf } from './kinds.js';
import type { Finding } from '../inspect/findings/finding.js';
import { checkSurroundings } from './precheck.js';
import type { InstallReporter } from './reporter.js';
import { meshNamesOf, planTrustDomainChange, runningNames } from './trust-domain-change.js';
import { renderInstallation, type Stage, stages } from './render/installation.js';
import { readTemplateFiles } from '../templates/files.js';
import {
  type EffectiveValues,
  givenPlatform,
  givenValues,
  supportedValues,
  type ValuesRequest,
} from './values/effective.js';
import { type Reversion, reversions } from './values/reversions.js';

export interface InstallRequest {
  readonly client: KubeClient;
  readonly namespace: string;
  readonly values: ValuesRequest;
  /** Version of this program: the default image tag, and what the objects are labeled with. */
  readonly clientVersion: string;
  /** Take over fields that others own. */
  readonly force: boolean;
  readonly signal: AbortSignal;
}

/** What an installation would do, or did. */
export interface InstallPlan {
  readonly cluster: PlatformFacts;
  readonly effective: EffectiveValues;
  readonly namespace: string;
  readonly changes: readonly PlannedChange[];
  readonly prune: readonly KubeObject[];
  readonly earlier: Inventory | undefined;
  /** What was given to the earlier installation and is taken back by this one. */
  readonly reverts: readonly Reversion[];
  /** What in the cluster stands against it: told before anything is written. */
  readonly obstacles: readonly Finding[];
  /** What has to be installed before, so that the change cuts nobody off. */
  readonly preparation: Preparation | undefined;
}

/** The first of two steps. */
interface Preparation {
  readonly plan: InstallPlan;
  /** What is to be known of it, in words. */
  readonly why: string;
  /** Plans the second step, once the first is done. */
  readonly replan: () => Promise<InstallPlan>;
}

/**
 * Everything short of writing: checks values, cluster, rights and conflicts, and
 * asks the API server what would change.
 * @throws MESH0300 to MESH0307, MESH0311, MESH0316, MESH0322
 */
export async function planInstallation(request: InstallRequest): Promise<InstallPlan> {
  const { client, namespace, signal, clientVersion } = request;
  const files = readTemplateFiles();
  const given = givenValues(files, request.values);
  const cluster = await detectCluster(client, signal);
  const platform = givenPlatform(given) ?? cluster.platform;
  const effective = supportedValues(files, { given, platform, clientVersion });
  const planned = renderInstallation(files, effective, { namespace, clientVersion });
  await requirePermissions(client, permissionsFor(planned.map((p) => p.object)));
  await requireNoForeignMesh(client);
  await requireOneNamespace(client, namespace);
  const earlier = await readInventory(client, namespace);
  const change = planTrustDomainChange(await runningNames(client, namespace, earlier), effective.spec);
  const checks = await checkSurroundings(client, { namespace, cluster });
  const obstacles = checks.flatMap(({ finding }) => finding ?? []);
  const plan = { ...(await planValues(request, cluster, effective)), obstacles };
  if (change === undefined) return plan;
  const preparation: Preparation = {
    plan: await planValues(request, cluster, { ...effective, spec: change.preparation }),
    why: `Trust domain ${change.from} becomes ${change.to} in two steps: first every proxy accepts both`,
    replan: () => planValues(request, cluster, effective),
  };
  return { ...plan, preparation };
}

/** What it takes to have these values. */
async function planValues(
  request: InstallRequest,
  cluster: PlatformFacts,
  effective: EffectiveValues,
): Promise<InstallPlan> {
  const { client, namespace, clientVersion, force, signal } = request;
  const planned = renderInstallation(readTemplateFiles(), effective, { namespace, clientVersion });
  const earlier = await readInventory(client, namespace);
  const changes = await planChanges(client, planned, { force, signal });
  const prune = prunable(
    earlier,
    planned.map((p) => p.object),
  );
  const reverts = earlier === undefined ? [] : reversions(earlier.given, effective);
  const rest = { reverts, obstacles: [], preparation: undefined };
  return { cluster, effective, namespace, changes, prune, earlier, ...rest };
}

export interface ApplyOptions {
  readonly client: KubeClient;
  readonly clientVersion: string;
  /** Waits for readiness when given; milliseconds for the whole installation. */
  readonly timeoutMs: number | undefined;
  readonly signal: AbortSignal;
  readonly reporter: InstallReporter;
}

/**
 * Applies a plan stage by stage. Running it again continues where it stopped.
 * @throws MESH0307, MESH0308, MESH0311, MESH0322
 */
export async function applyPlan(plan: InstallPlan, options: ApplyOptions): Promise<void> {
  const { timeoutMs, reporter } = options;
  const deadlineMs = timeoutMs === undefined ? undefined : performance.now() + timeoutMs;
  const { preparation } = plan;
  if (preparation === undefined) return applyOnce(plan, { ...options, deadlineMs, isFinal: true });
  if (deadlineMs === undefined) {
    throw new MeshError('MESH0322', 'a trust domain can only be changed by an install that waits', {
      hint: 'Repeat without --no-wait.',
    });
  }
  reporter.info(preparation.why);
  await applyOnce(preparation.plan, { ...options, deadlineMs, isFinal: false });
  reporter.info('Every proxy accepts both: identities change now');
  await applyOnce(await preparation.replan(), { ...options, deadlineMs, isFinal: true });
}

/** One pass; `deadlineMs` of performance.now. One that is not final leaves the installation marked as unfinished. */
async function applyOnce(
  plan: InstallPlan,
  options: ApplyOptions & { readonly deadlineMs: number | undefined; readonly isFinal: boolean },
): Promise<void> {
  const { client, signal, reporter, deadlineMs, isFinal } = options;
  const foreign = plan.changes.filter((c) => !c.isOwn).map((c) => c.planned.object);
  const earlier = without(plan.earlier?.objects ?? [], foreign);
  const own = plan.changes
    .filter((c) => c.isOwn)
    // What is kept was applied by an earlier installation, and that is what verify compares with.
    .flatMap(({ action, planned: { object } }) =>
      action === 'keep' ? recordedFor(earlier, object) : object,
    );
  const record = (objects: readonly KubeObject[], isComplete: boolean): Promise<void> =>
    writeInventory(client, plan.namespace, {
      version: options.clientVersion,
      profile: plan.effective.profile,
      platform: plan.effective.platform,
      given: plan.effective.given,
      objects,
      isComplete,
    });
  const isChanging = plan.prune.length > 0 || plan.changes.some(isWrite);
  for (const stage of stages) {
    const here = plan.changes.filter((c) => c.planned.stage === stage && isApplied(c));
    if (here.length > 0) await applyStage(stage, here);
    // Recorded before most of the work, with what may be left of an earlier installation: an
    // interrupted installation can be removed as well as a finished one.
    if (stage === 'namespace' && isChanging) await record(union(own, earlier), false);
  }
  for (const object of plan.prune.toReversed()) {
    await client.delete(refOf(object));
    reporter.info(`removed ${nameOf(object)}, which this installation no longer has`);
  }
  for (const { planned } of plan.changes.filter((c) => c.action === 'release')) {
    await releaseCrd(client, planned.object.metadata.name, reporter);
  }
  const hasController = plan.changes.some(
    ({ planned: { component, object } }) => component === 'Pilot' && object.kind === 'Deployment',
  );
  if (deadlineMs !== undefined && hasController) {
    await waitForWaypoints(client, meshNamesOf(plan.effective), { deadlineMs, signal, reporter });
  }
  const isRecorded = plan.earlier?.isComplete === isFinal && isSame(plan.earlier.objects, own);
  if (isChanging || !isRecorded) await record(own, isFinal);

  async function applyStage(stage: Stage, changes: readonly PlannedChange[]): Promise<void> {
    const waiters = groupByStep(stage, changes);
    await mapConcurrently(waiters, async ({ title, changes: group, isAwaited }) => {
      const step = reporter.step(title);
      try {
        const writes = group.filter(isWrite);
        for (const change of writes) await applyOne(change);
        if (isAwaited && deadlineMs !== undefined) {
          await mapConcurrently(group, (change) =>
            waitUntilReady(client, change.planned.object, {
              deadlineMs,
              signal,
              onWait: (missing) => step.update(missing),
            }),
          );
        }
        step.succeed(
          writes.length === 0
            ? 'unchanged'
            : `${countText(writes)}${isAwaited && deadlineMs !== undefined ? ', ready' : ''}`,
        );
      } catch (error) {
        step.fail('failed');
        throw error;
      }
    });
  }

  async function applyOne({ planned, isForced }: PlannedChange): Promise<void> {
    signal.throwIfAborted();
    try {
      await client.apply(resourceOf(planned.object), planned.object, {
        fieldManager,
        force: isForced,
        signal,
      });
    } catch (error) {
      throw asRefusal(error, planned.object);
    }
  }
}

/** Whether a change writes the planned object to the cluster. */
export function isWrite(change: PlannedChange): boolean {
  return change.action === 'create' || change.action === 'update';
}

/** Whether applying a plan would leave the cluster as it is. */
export function isNoop(plan: InstallPlan): boolean {
  return plan.prune.length === 0 && !plan.changes.some((c) => isWrite(c) || c.action === 'release');
}

function isApplied(change: PlannedChange): boolean {
  return isWrite(change) || change.action === 'unchanged';
}

/** One line of progress: the workloads each for themselves, everything else of a stage together. */
interface StepGroup {
  readonly title: string;
  readonly changes: readonly PlannedChange[];
  readonly isAwaited: boolean;
}

const titles: Readonly<Record<string, string>> = {
  namespace: 'Namespace',
  crds: 'Custom resource definitions',
  config: 'Accounts, permissions, configuration',
  'Deployment istiod': 'Controller',
  'DaemonSet istio-cni-node': 'CNI agent',
  'DaemonSet ztunnel': 'Node proxy',
};

function groupByStep(stage: Stage, changes: readonly PlannedChange[]): StepGroup[] {
  if (stage === 'agents' || stage === 'proxies') {
    return changes.map((change) => {
      const { kind, metadata } = change.planned.object;
      const name = `${kind} ${metadata.name}`;
      return { title: titles[name] ?? name, changes: [change], isAwaited: true };
    });
  }
  return [{ title: titles[stage] ?? stage, changes, isAwaited: stage === 'crds' }];
}

function countText(changes: readonly PlannedChange[]): string {
  const created = changes.filter((c) => c.action === 'create').length;
  const updated = changes.length - created;
  return [created > 0 ? `${created} created` : '', updated > 0 ? `${updated} updated` : '']
    .filter((t) => t !== '')
    .join(', ');
}
