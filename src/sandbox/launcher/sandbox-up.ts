import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '#base/errors/mesh-error.js';
import type { SupervisorStatus } from '../supervisor/control/control-protocol.js';
import { planNodes, readNodeList, writeNodeList } from '../supervisor/nodes/node-list.js';
import { nodesMax } from '../supervisor/sandbox-config.js';
import { defaultSandboxName, type SandboxPaths, sandboxPaths } from '../supervisor/sandbox-paths.js';
import type { IpFamilyName } from '../supervisor/network-plan.js';
import { requestShutdown, supervisorStatus } from './control-client.js';
import { filesError } from '../supervisor/files-error.js';
import { assetsFolder, assetsVariable, findAssets } from '../control-plane/external/assets.js';
import type { BuiltinImageTable } from '../node/image/builtin-images.js';
import { checkHost } from './host/host-check.js';
import type { KernelTrial } from './host/kernel-trial.js';
import type { MissingPiece } from './host/missing-piece.js';
import type { HostPrograms } from './host/programs.js';
import { addContext, userKubeconfigPath } from './kubeconfig-file.js';
import { withLaunchLock } from './launch-lock.js';
import { packageRoot } from './package-root.js';
import { snapshotPackage } from './package-snapshot.js';
import { keepRemains, removeRemains } from './sandbox-down.js';
import { readContextEntry } from './sandbox-kubeconfig.js';
import { isRunning, readRecord, type SandboxRecord, writeRecord } from './sandbox-record.js';
import { endedEarly, launchSupervisor, supervisorLogTail, supervisorFailure } from './supervisor-process.js';

export interface SandboxUpOptions {
  /** Default `default`. */
  readonly name?: string | undefined;
  /** Default 2, or what the sandbox had when it was stopped. */
  readonly nodes?: number | undefined;
  /** `down` keeps objects, keys and disks; a sandbox that was started so stays so. */
  readonly persist?: boolean | undefined;
  /** Default: IPv4, or what it had when it was stopped. */
  readonly ipFamilies?: readonly IpFamilyName[] | undefined;
  /** Images it has from the start, besides the tool image. */
  readonly images?: BuiltinImageTable | undefined;
  /** What those need of the kernel, and of the machine's programs. */
  readonly kernelTrials?: readonly KernelTrial[] | undefined;
  readonly programs?: HostPrograms | undefined;
  /** Leave the user's kubeconfig alone. */
  readonly noKubeconfig?: boolean | undefined;
  readonly onProgress?: ((step: string, detail: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Milliseconds; default 60 000. */
  readonly timeoutMs?: number | undefined;
}

export interface SandboxUpResult {
  readonly name: string;
  readonly server: string;
  /** A kubeconfig of the sandbox's own; also when the user's was left alone. */
  readonly kubeconfigPath: string;
  readonly context: string;
  readonly nodes: readonly string[];
  readonly isPersistent: boolean;
  /** It was already running. */
  readonly wasRunning: boolean;
  /** It goes on with what an earlier run kept. */
  readonly isContinued: boolean;
  /** Another program has the port of its earlier run: kubeconfigs handed out then do not reach it. */
  readonly hasNewPort: boolean;
}

const defaultNodes = 2;
const ipFamiliesDefault: readonly IpFamilyName[] = ['ipv4'];
const timeoutDefaultMs = 60_000;
const pollMs = 25;

/**
 * Starts a sandbox and waits until its nodes are Ready and DNS answers. Running
 * already is a success. Throws MESH0800 (bad name or count), MESH0801 (machine
 * lacks something), MESH0804 to MESH0806, MESH0814 (files).
 */
export async function sandboxUp(o: SandboxUpOptions = {}): Promise<SandboxUpResult> {
  const name = o.name ?? defaultSandboxName;
  validate(name, o.nodes ?? defaultNodes);
  const paths = sandboxPaths(name);
  const lock = { timeoutMs: o.timeoutMs ?? timeoutDefaultMs, signal: o.signal };
  return withLaunchLock(paths.folder, lock, () => upLocked(paths, o));
}

async function upLocked(paths: SandboxPaths, o: SandboxUpOptions): Promise<SandboxUpResult> {
  const before = readRecord(paths);
  if (before !== undefined && isRunning(before)) {
    if ((await supervisorStatus(paths))?.phase !== 'failed') return reuse(paths, before, o);
    // It stayed only to say why. Now somebody may have mended that.
    await requestShutdown(paths);
  }
  const progress = o.onProgress ?? (() => undefined);
  progress('check', 'looking at the machine');
  const ipFamilies = before?.isPersistent === true ? familiesOf(before) : (o.ipFamilies ?? ipFamiliesDefault);
  const { kernelTrials, programs } = o;
  const missing = await checkHost({ ipv6: ipFamilies.includes('ipv6'), kernelTrials, programs });
  if (missing.length > 0) throw missingPieces(missing);
  const assets = assetsFolder();
  if (assets !== undefined) await findAssets(assets);
  const kept = before?.isPersistent === true ? before : undefined;
  if (kept !== undefined) {
    assertSameNodes(paths, o);
    assertSameFamilies(paths, kept, o);
    assertSameApiServer(paths, kept, assets);
  }
  const clean = (record: SandboxRecord | undefined): Promise<void> =>
    kept === undefined ? removeRemains(paths, record) : keepRemains(paths, record ?? kept);
  await clean(before);
  let started: SandboxRecord | undefined;
  try {
    progress('prepare', 'copying the program files');
    await prepareFiles(paths, { nodes: o.nodes ?? defaultNodes, isNew: kept === undefined });
    progress('start', 'starting API server and nodes');
    const isPersistent = kept !== undefined || o.persist === true;
    started = await launchSupervisor(paths, {
      isPersistent,
      ipFamilies,
      port: before?.apiPort,
      assetsFolder: assets,
      images: o.images ?? {},
    });
    await awaitReady(paths, started, o);
    return await finish(paths, started, {
      ...o,
      wasRunning: false,
      isContinued: kept !== undefined,
      hasNewPort: kept !== undefined && kept.apiPort !== started.apiPort,
    });
  } catch (error) {
    const files = isAboutFiles(error) ? error : filesError(error, paths.folder);
    // Given up by the caller, or no room: nothing stays. After other failures the log does; the next `up` clears it.
    if (o.signal?.aborted === true || files !== undefined) await clean(started);
    throw files ?? error;
  }
}

/** The supervisor met a full disk, or the like. */
function isAboutFiles(error: unknown): error is MeshError {
  return error instanceof MeshError && error.code === 'MESH0814';
}

async function prepareFiles(paths: SandboxPaths, o: { nodes: number; isNew: boolean }): Promise<void> {
  await mkdir(paths.nodes, { recursive: true, mode: 0o700 });
  if (o.isNew) await writeNodeList(paths.nodeList, planNodes([], { count: o.nodes }));
  await snapshotPackage(packageRoot(), paths.packageRoot);
}

function validate(name: string, nodes: number): void {
  if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(name))
    throw new MeshError('MESH0800', `"${name}" cannot be the name of a sandbox`);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > nodesMax)
    throw new MeshError('MESH0800', `a sandbox has 1 to ${nodesMax} nodes, not ${nodes}`);
}

function missingPieces(missing: readonly MissingPiece[]): MeshError {
  return new MeshError('MESH0801', `this machine lacks ${missing.map((m) => m.piece).join(', ')}`, {
    evidence: missing.map((m) => `${m.piece}: ${m.reason}`).join('\n'),
    hint: [...new Set(missing.map((m) => m.fix))].join('\n'),
  });
}

function assertSameNodes(paths: SandboxPaths, o: SandboxUpOptions): void {
  const { length } = readNodeList(paths.nodeList);
  if (o.nodes === undefined || o.nodes === length) return;
  throw new MeshError('MESH0804', `sandbox ${paths.name} has ${length} nodes, not ${o.nodes}`, {
    hint: `meshctl sandbox node add --name ${paths.name}   # or remove; without --nodes it starts with what it has`,
  });
}

function familiesOf(record: SandboxRecord): readonly IpFamilyName[] {
  return record.ipFamilies ?? ipFamiliesDefault;
}

function assertSameFamilies(paths: SandboxPaths, record: SandboxRecord, o: SandboxUpOptions): void {
  const has = familiesOf(record).join(',');
  const asked = o.ipFamilies?.join(',') ?? has;
  if (asked === has) return;
  throw new MeshError('MESH0804', `sandbox ${paths.name} has the IP families ${has}, not ${asked}`, {
    hint: `meshctl sandbox down --purge --name ${paths.name}   # they cannot be changed; without --ip-families it starts with what it has`,
  });
}

/** What one API server kept the other cannot read. */
function assertSameApiServer(paths: SandboxPaths, kept: SandboxRecord, assets: string | undefined): void {
  const was = kept.apiServer ?? 'embedded';
  if (was === (assets === undefined ? 'embedded' : 'external')) return;
  const hint =
    was === 'embedded'
      ? `unset ${assetsVariable}, or remove what was kept: meshctl sandbox down --name ${paths.name} --purge`
      : `set ${assetsVariable} as before, or remove what was kept: meshctl sandbox down --name ${paths.name} --purge`;
  const server = was === 'embedded' ? 'the embedded API server' : 'kube-apiserver and etcd';
  throw new MeshError('MESH0804', `sandbox ${paths.name} was kept by ${server}`, { hint });
}

async function reuse(
  paths: SandboxPaths,
  record: SandboxRecord,
  o: SandboxUpOptions,
): Promise<SandboxUpResult> {
  assertSameNodes(paths, o);
  assertSameFamilies(paths, record, o);
  // Unset it asks for nothing: the one that runs is fine.
  if (assetsFolder() !== undefined && record.apiServer !== 'external') {
    throw new MeshError('MESH0804', `sandbox ${paths.name} runs with the embedded API server`, {
      hint: `unset ${assetsVariable} to use it as it is, or: meshctl sandbox down --name ${paths.name}`,
    });
  }
  if (o.persist === true && record.isPersistent !== true) {
    throw new MeshError('MESH0804', `sandbox ${paths.name} runs without keeping its state`, {
      hint: `meshctl sandbox down --name ${paths.name} && meshctl sandbox up --name ${paths.name} --persist`,
    });
  }
  await awaitReady(paths, record, o);
  return finish(paths, record, { ...o, wasRunning: true, isContinued: false, hasNewPort: false });
}

async function awaitReady(
  paths: SandboxPaths,
  record: SandboxRecord,
  o: SandboxUpOptions,
): Promise<SupervisorStatus> {
  const deadlineMs = Date.now() + (o.timeoutMs ?? timeoutDefaultMs);
  let lastDetail = '';
  for (;;) {
    o.signal?.throwIfAborted();
    const status = existsSync(paths.control) ? await supervisorStatus(paths) : undefined;
    if (status?.phase === 'ready') return status;
    if (status?.phase === 'failed') throw await supervisorFailure(paths, status);
    if (!isRunning(record)) throw await endedEarly(paths);
    if (status !== undefined && status.detail !== lastDetail) {
      lastDetail = status.detail;
      o.onProgress?.('wait', lastDetail);
    }
    if (Date.now() > deadlineMs) {
      const what = `sandbox ${paths.name} did not become ready: ${lastDetail || 'no answer'}`;
      throw new MeshError('MESH0806', what, { evidence: await supervisorLogTail(paths) });
    }
    await delay(pollMs);
  }
}

async function finish(
  paths: SandboxPaths,
  record: SandboxRecord,
  o: SandboxUpOptions & Pick<SandboxUpResult, 'wasRunning' | 'isContinued' | 'hasNewPort'>,
): Promise<SandboxUpResult> {
  const context = `sandbox-${paths.name}`;
  if (o.noKubeconfig !== true) {
    const path = userKubeconfigPath();
    const previous = await addContext(path, await readContextEntry(paths));
    // A second `up` finds its own context: the one before it is still the one to go back to.
    const previousContext = previous === context ? record.previousContext : previous;
    await writeRecord(paths, {
      ...record,
      mergedKubeconfig: path,
      ...(previousContext === undefined ? {} : { previousContext }),
    });
  }
  return {
    name: paths.name,
    server: record.server,
    kubeconfigPath: paths.kubeconfig,
    context,
    nodes: readNodeList(paths.nodeList).map((node) => node.name),
    isPersistent: record.isPersistent === true,
    wasRunning: o.wasRunning,
    isContinued: o.isContinued,
    hasNewPort: o.hasNewPort,
  };
}
