import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '#base/errors/mesh-error.js';
import { keepFilesFromChildren } from '../base/inherited-files.js';
import { boundPort, closeFd, listenTcp } from '#base/system/socket.js';
import type { BuiltinImageTable } from '../node/image/builtin-images.js';
import { apiListenerFd, type SupervisorConfig } from '../supervisor/sandbox-config.js';
import type { SupervisorStatus } from '../supervisor/control/control-protocol.js';
import type { SandboxPaths } from '../supervisor/sandbox-paths.js';
import type { IpFamilyName } from '../supervisor/network-plan.js';
import { findCniPlugins, systemPath } from './host/programs.js';
import { packageVersion } from './package-root.js';
import { identifyProcess } from './process-identity.js';
import { type SandboxRecord, writeRecord } from './sandbox-record.js';

const builtinHub = 'meshctl';
const logTailMaxChars = 2_000;
/** What the supervisor calls an error that it has no code for. */
const unexpectedFailure = 'MESH0815';

export interface LaunchOptions {
  /** Host port of the last run, so that kubeconfigs handed out then stay valid; any other when it is taken. */
  readonly port: number | undefined;
  readonly isPersistent: boolean;
  readonly ipFamilies: readonly IpFamilyName[];
  readonly assetsFolder: string | undefined;
  readonly images: BuiltinImageTable;
}

/**
 * Starts the supervisor in namespaces of its own, detached, with the API socket of this network. It waits for
 * its record to be written: whenever this process is killed, either nothing runs or the record says what does.
 */
export async function launchSupervisor(paths: SandboxPaths, o: LaunchOptions): Promise<SandboxRecord> {
  const listener = listenOnHost(o.port);
  const apiPort = boundPort(listener);
  const log = openSync(paths.log, 'a', 0o600);
  try {
    const config: SupervisorConfig = {
      name: paths.name,
      folder: paths.folder,
      apiPort,
      cniPluginDir: findCniPlugins() ?? '/usr/lib/cni',
      nodeBinary: process.execPath,
      version: packageVersion(),
      hub: builtinHub,
      images: o.images,
      isPersistent: o.isPersistent,
      ipFamilies: o.ipFamilies,
      assetsFolder: o.assetsFolder,
    };
    await writeFile(paths.config, JSON.stringify(config), { mode: 0o600 });
    const [command = '', ...args] = supervisorCommand(paths);
    const stdio: ('pipe' | number)[] = ['pipe', log, log];
    stdio[apiListenerFd] = listener;
    // The sandbox outlives its caller: it must not hold the caller's pipes open, nor hand them to containers.
    keepFilesFromChildren();
    const child = spawn(command, args, {
      detached: true,
      stdio,
      cwd: '/',
      env: { ...process.env, PATH: systemPath() },
    });
    await once(child, 'spawn');
    child.unref();
    const identity = child.pid === undefined ? undefined : identifyProcess(child.pid);
    if (identity === undefined) throw await endedEarly(paths);
    const record: SandboxRecord = {
      name: paths.name,
      apiPort,
      server: `https://127.0.0.1:${apiPort}`,
      process: identity,
      startedAt: new Date().toISOString(),
      isPersistent: o.isPersistent,
      ipFamilies: o.ipFamilies,
      apiServer: o.assetsFolder === undefined ? 'embedded' : 'external',
    };
    await writeRecord(paths, record);
    release(child);
    return record;
  } finally {
    closeFd(listener);
    closeSync(log);
  }
}

/** The sandbox's processes ended; the evidence is the end of its log unless something better is known. */
export async function endedEarly(paths: SandboxPaths, evidence?: string): Promise<MeshError> {
  return new MeshError('MESH0805', `sandbox ${paths.name} ended while it was starting`, {
    evidence: evidence ?? (await supervisorLogTail(paths)),
    hint: `the whole log: ${paths.log}`,
  });
}

/** Why a sandbox says that it failed to start: the supervisor's own error where it names one, otherwise MESH0805. */
export async function supervisorFailure(paths: SandboxPaths, status: SupervisorStatus): Promise<MeshError> {
  const { failure, detail } = status;
  if (failure === undefined || failure.code === unexpectedFailure) return endedEarly(paths, detail);
  const { code, message, evidence, hint } = failure;
  return new MeshError(code, message, { evidence, hint });
}

export async function supervisorLogTail(paths: SandboxPaths): Promise<string> {
  const text = await readFile(paths.log, 'utf8').catch(() => '');
  return text.slice(-logTailMaxChars).trim();
}

/** Lets the waiting process go on; it ends by itself when this one dies before. */
function release(child: ChildProcess): void {
  child.stdin?.on('error', () => undefined); // it died meanwhile: whoever waits for it to be ready sees that
  child.stdin?.end('go\n');
}

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
 * The first shell waits for the word to go. The second is pid 1 of the sandbox: it collects orphans while it
 * waits, and when the supervisor dies it ends, which makes the kernel kill everything else. When unshare
 * itself dies, --kill-child does the same.
 */
function supervisorCommand(paths: SandboxPaths): string[] {
  const gate = ['sh', '-c', 'read -r word && exec "$@" </dev/null', 'sh'];
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
  return [...gate, 'unshare', ...user, ...namespaces, '--', 'sh', '-c', '"$@" & wait $!', 'sh', ...program];
}
