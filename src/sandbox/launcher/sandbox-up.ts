import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { MeshError } from '../../errors/mesh-error.js';
import { boundPort, closeFd, listenTcp } from '../../system/socket.js';
import {
  apiListenerFd,
  nodesMax,
  type SupervisorConfig,
  type SupervisorStatus,
} from '../supervisor/sandbox-config.js';
import { type SandboxPaths, sandboxPaths } from '../supervisor/sandbox-paths.js';
import { supervisorStatus } from './control-client.js';
import { checkHost, findCniPlugins, systemPath } from './host-check.js';
import { addContext, userKubeconfigPath } from './kubeconfig-file.js';
import { withLaunchLock } from './launch-lock.js';
import { packageRoot, packageVersion } from './package-root.js';
import { snapshotPackage } from './package-snapshot.js';
import { identifyProcess } from './process-identity.js';
import { removeRemains } from './sandbox-down.js';
import { readContextEntry } from './sandbox-kubeconfig.js';
import { isRunning, readRecord, type SandboxRecord, writeRecord } from './sandbox-record.js';

export interface SandboxUpOptions {
  /** Default `default`. */
  readonly name?: string | undefined;
  /** Default 2. */
  readonly nodes?: number | undefined;
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
  /** It was already running. */
  readonly wasRunning: boolean;
}

export const defaultName = 'default';
const defaultNodes = 2;
const timeoutDefaultMs = 60_000;
const pollMs = 25;
const logTailMaxChars = 2_000;

/**
 * Starts a sandbox and waits until its nodes are Ready and DNS answers. Running
 * already is a success. Throws MESH0800 (bad name or count), MESH0801 (machine
 * lacks something), MESH0804 to MESH0806.
 */
export async function sandboxUp(o: SandboxUpOptions = {}): Promise<SandboxUpResult> {
  const name = o.name ?? defaultName;
  validate(name, o.nodes ?? defaultNodes);
  const paths = sandboxPaths(name);
  const lock = { timeoutMs: o.timeoutMs ?? timeoutDefaultMs, signal: o.signal };
  return withLaunchLock(paths.folder, lock, () => upLocked(paths, o));
}

async function upLocked(paths: SandboxPaths, o: SandboxUpOptions): Promise<SandboxUpResult> {
  const record = readRecord(paths);
  if (record !== undefined && isRunning(record)) return reuse(paths, record, o);

  const progress = o.onProgress ?? (() => undefined);
  progress('check', 'looking at the machine');
  const missing = await checkHost();
  if (missing.length > 0) throw missingPieces(missing);
  await removeRemains(paths, record);
  progress('prepare', 'copying the program files');
  await mkdir(paths.nodes, { recursive: true, mode: 0o700 });
  await snapshotPackage(packageRoot(), paths.packageRoot);
  progress('start', 'starting API server and nodes');
  const started = await launch(paths, { nodeCount: o.nodes ?? defaultNodes, port: record?.apiPort });
  try {
    await awaitReady(paths, started, o);
    return await finish(paths, started, { ...o, wasRunning: false });
  } catch (error) {
    // Given up by the caller: nothing stays. After a failure the files do, for the log; the next `up` clears them.
    if (o.signal?.aborted === true) await removeRemains(paths, started);
    throw error;
  }
}

function validate(name: string, nodes: number): void {
  if (!/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/.test(name))
    throw new MeshError('MESH0800', `"${name}" cannot be the name of a sandbox`);
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > nodesMax)
    throw new MeshError('MESH0800', `a sandbox has 1 to ${nodesMax} nodes, not ${nodes}`);
}

function missingPieces(missing: readonly { piece: string; reason: string; fix: string }[]): MeshError {
  return new MeshError('MESH0801', `this machine lacks ${missing.map((m) => m.piece).join(', ')}`, {
    evidence: missing.map((m) => `${m.piece}: ${m.reason}`).join('\n'),
    hint: [...new Set(missing.map((m) => m.fix))].join('\n'),
  });
}

async function reuse(
  paths: SandboxPaths,
  record: SandboxRecord,
  o: SandboxUpOptions,
): Promise<SandboxUpResult> {
  if (o.nodes !== undefined && o.nodes !== record.nodeCount)
    throw new MeshError(
      'MESH0804',
      `sandbox ${paths.name} runs with ${record.nodeCount} nodes, not ${o.nodes}`,
      {
        hint: `meshctl sandbox down --name ${paths.name}`,
      },
    );
  await awaitReady(paths, record, o);
  return finish(paths, record, { ...o, wasRunning: true });
}

/** Starts the supervisor in namespaces of its own, detached, with the API socket of this network. */
async function launch(
  paths: SandboxPaths,
  o: { nodeCount: number; port: number | undefined },
): Promise<SandboxRecord> {
  const listener = listenOnHost(o.port);
  const apiPort = boundPort(listener);
  const log = openSync(paths.log, 'a', 0o600);
  try {
    const config: SupervisorConfig = {
      name: paths.name,
      folder: paths.folder,
      nodeCount: o.nodeCount,
      apiPort,
      cniPluginDir: findCniPlugins() ?? '/usr/lib/cni',
      nodeBinary: process.execPath,
      version: packageVersion(),
      hub: 'meshctl',
    };
    await writeFile(paths.config, JSON.stringify(config), { mode: 0o600 });
    const [command = '', ...args] = supervisorCommand(paths);
    const stdio = ['ignore' as const, log, log];
    stdio[apiListenerFd] = listener;
    const child = spawn(command, args, {
      detached: true,
      stdio,
      cwd: '/',
      env: { ...process.env, PATH: systemPath() },
    });
    await new Promise<void>((resolve, reject) => {
      child.once('spawn', resolve);
      child.once('error', reject);
    });
    child.unref();
    const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
    if (identity === undefined) throw endedEarly(paths, await logTail(paths));
    const record: SandboxRecord = {
      name: paths.name,
      nodeCount: o.nodeCount,
      apiPort,
      server: `https://127.0.0.1:${apiPort}`,
      process: identity,
      startedAt: new Date().toISOString(),
    };
    await writeRecord(paths, record);
    return record;
  } finally {
    closeFd(listener);
    closeSync(log);
  }
}

/** The port of the last run, so that kubeconfigs handed out then stay valid; any other when it is taken. */
function listenOnHost(port: number | undefined): number {
  const host = '127.0.0.1';
  if (port !== undefined) {
    try {
      return listenTcp({ host, port });
    } catch {
      // Taken by another program meanwhile.
    }
  }
  return listenTcp({ host, port: 0 });
}

/**
 * The shell is pid 1 of the sandbox: it collects orphans while it waits, and when
 * the supervisor dies it ends, which makes the kernel kill everything else. When
 * unshare itself dies, --kill-child does the same.
 */
function supervisorCommand(paths: SandboxPaths): string[] {
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user'];
  const namespaces = [
    '--net',
    '--mount',
    '--pid',
    '--uts',
    '--ipc',
    '--fork',
    '--kill-child',
    '--mount-proc',
  ];
  const program = [
    process.execPath,
    // A small young generation keeps the resident size down; the supervisor's objects are long-lived.
    '--max-semi-space-size=4',
    join(paths.packageRoot, 'bin/sandbox.js'),
    'supervisor',
    paths.config,
  ];
  return ['unshare', ...user, ...namespaces, '--', 'sh', '-c', '"$@" & wait $!', 'sh', ...program];
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
    if (status?.phase === 'failed') throw endedEarly(paths, status.detail);
    if (!isRunning(record)) throw endedEarly(paths, await logTail(paths));
    if (status !== undefined && status.detail !== lastDetail) {
      lastDetail = status.detail;
      o.onProgress?.('wait', lastDetail);
    }
    if (Date.now() > deadlineMs)
      throw new MeshError(
        'MESH0806',
        `sandbox ${paths.name} did not become ready: ${lastDetail || 'no answer'}`,
        {
          evidence: await logTail(paths),
        },
      );
    await delay(pollMs);
  }
}

async function finish(
  paths: SandboxPaths,
  record: SandboxRecord,
  o: SandboxUpOptions & { wasRunning: boolean },
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
    nodes: Array.from({ length: record.nodeCount }, (_, i) => `node-${i + 1}`),
    wasRunning: o.wasRunning,
  };
}

function endedEarly(paths: SandboxPaths, evidence: string): MeshError {
  return new MeshError('MESH0805', `sandbox ${paths.name} ended while it was starting`, {
    evidence,
    hint: `the whole log: ${paths.log}`,
  });
}

async function logTail(paths: SandboxPaths): Promise<string> {
  const text = await readFile(paths.log, 'utf8').catch(() => '');
  return text.slice(-logTailMaxChars).trim();
}
