import { MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import type { SandboxMemory, SupervisorStatus } from '../supervisor/control/control-protocol.js';
import { readNodeList } from '../supervisor/nodes/node-list.js';
import { type SandboxPaths, sandboxPaths } from '../supervisor/sandbox-paths.js';
import { supervisorMemory, supervisorStatus } from './control-client.js';
import {
  isRunning,
  readRecord,
  type SandboxRecord,
  type SandboxState,
  sandboxNames,
  stateOf,
} from './sandbox-record.js';

/** One line of `sandbox list`. */
export interface SandboxSummary {
  readonly name: string;
  readonly state: SandboxState;
  readonly server: string;
  readonly context: string;
  readonly nodeCount: number;
  /** `down` keeps its objects, keys and disks. */
  readonly isPersistent: boolean;
  /** Start of its current or last run. */
  readonly startedAt: string;
}

export interface SandboxStatusResult extends SandboxSummary {
  /** The supervisor's answer; undefined when it gave none. */
  readonly supervisor: SupervisorStatus | undefined;
  /** Of all its processes, pods included. */
  readonly memory: SandboxMemory | undefined;
  readonly kubeconfigPath: string;
  readonly logPath: string;
  /** First process, on the host; undefined when it does not run. */
  readonly pid: number | undefined;
}

/** All sandboxes of this user. */
export function sandboxList(): SandboxSummary[] {
  return sandboxNames().flatMap((name) => {
    const paths = sandboxPaths(name);
    const record = readRecord(paths);
    return record === undefined ? [] : [summarize(paths, record)];
  });
}

/** What a sandbox is doing. Throws MESH0803 when there is none of that name. */
export async function sandboxStatus({ name }: { readonly name: string }): Promise<SandboxStatusResult> {
  const paths = sandboxPaths(name);
  const record = readRecord(paths);
  if (record === undefined) throw noSuchSandbox(name);
  const summary = summarize(paths, record);
  const [supervisor, memory] =
    summary.state === 'running'
      ? await Promise.all([supervisorStatus(paths), supervisorMemory(paths)])
      : [undefined, undefined];
  return {
    ...summary,
    supervisor,
    memory,
    kubeconfigPath: paths.kubeconfig,
    logPath: paths.log,
    pid: summary.state === 'running' ? record.process?.pid : undefined,
  };
}

/** Paths of a running sandbox. Throws MESH0803 when it does not run. */
export function runningSandbox(name: string): { paths: SandboxPaths; pid: number } {
  const paths = sandboxPaths(name);
  const record = readRecord(paths);
  if (record !== undefined && isRunning(record)) return { paths, pid: record.process.pid };
  if (record === undefined) throw noSuchSandbox(name);
  throw new MeshError('MESH0803', `sandbox ${name} is not running`, {
    hint: `meshctl sandbox up --name ${name}`,
  });
}

function noSuchSandbox(name: string): MeshError {
  const near = nearMiss(name, sandboxNames());
  return new MeshError('MESH0803', `there is no sandbox ${name}`, {
    hint: near === undefined ? undefined : `Did you mean ${near}?`,
  });
}

function summarize(paths: SandboxPaths, record: SandboxRecord): SandboxSummary {
  return {
    name: paths.name,
    state: stateOf(record),
    server: record.server,
    context: `sandbox-${paths.name}`,
    nodeCount: readNodeList(paths.nodeList).length,
    isPersistent: record.isPersistent === true,
    startedAt: record.startedAt,
  };
}
