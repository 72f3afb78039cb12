import { MeshError } from '../../errors/mesh-error.js';
import type { SupervisorStatus } from '../supervisor/sandbox-config.js';
import { sandboxPaths } from '../supervisor/sandbox-paths.js';
import { supervisorStatus } from './control-client.js';
import { isRunning, readRecord, sandboxNames } from './sandbox-record.js';

/** One line of `sandbox list`. */
export interface SandboxSummary {
  readonly name: string;
  /** `crashed`: its files are there, its processes are not. */
  readonly state: 'running' | 'crashed';
  readonly server: string;
  readonly context: string;
  readonly nodeCount: number;
  readonly startedAt: string;
}

export interface SandboxStatusResult extends SandboxSummary {
  /** The supervisor's answer; undefined when it gave none. */
  readonly supervisor: SupervisorStatus | undefined;
  readonly kubeconfigPath: string;
  readonly logPath: string;
  /** First process, on the host. */
  readonly pid: number;
}

/** All sandboxes of this user. */
export function sandboxList(): SandboxSummary[] {
  return sandboxNames().flatMap((name) => {
    const summary = summarize(name);
    return summary === undefined ? [] : [summary];
  });
}

/** What a sandbox is doing. Throws MESH0803 when there is none of that name. */
export async function sandboxStatus({ name }: { readonly name: string }): Promise<SandboxStatusResult> {
  const paths = sandboxPaths(name);
  const record = readRecord(paths);
  const summary = summarize(name);
  if (record === undefined || summary === undefined)
    throw new MeshError('MESH0803', `there is no sandbox ${name}`);
  return {
    ...summary,
    supervisor: summary.state === 'running' ? await supervisorStatus(paths) : undefined,
    kubeconfigPath: paths.kubeconfig,
    logPath: paths.log,
    pid: record.process.pid,
  };
}

function summarize(name: string): SandboxSummary | undefined {
  const record = readRecord(sandboxPaths(name));
  if (record === undefined) return undefined;
  return {
    name,
    state: isRunning(record) ? 'running' : 'crashed',
    server: record.server,
    context: `sandbox-${name}`,
    nodeCount: record.nodeCount,
    startedAt: record.startedAt,
  };
}
