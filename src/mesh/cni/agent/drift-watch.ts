import { pause } from '#base/system/until.js';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Logger } from '#base/telemetry/log.js';
import type { ZdsWorkload } from '../zds/messages.js';
import type { HostProbes } from '../redirection/host-probes.js';
import type { AgentMetrics } from './agent-metrics.js';
import type { NodeAgent } from './node-agent.js';
import type { PodMesh } from './pod-mesh.js';

export interface DriftWatchDeps {
  readonly mesh: PodMesh;
  readonly agent: NodeAgent;
  readonly hostProbes: HostProbes;
  readonly metrics: AgentMetrics;
  readonly log: Logger;
  /** Tells the owners of a pod that rules in it kept its traffic from the proxy; never rejects. */
  readonly reportOverride: (pod: ZdsWorkload, message: string) => Promise<void>;
  /** Pause between two rounds over all pods, milliseconds. */
  readonly intervalMs: number;
}

/** A check starts a few short processes; this keeps a full node below a tenth of a core. */
const perPodMinMs = 150;

/**
 * Looks at the rules of every enrolled pod and of the node, round after round, one at
 * a time, and puts back what somebody removed.
 */
export async function watchDrift(deps: DriftWatchDeps, signal: AbortSignal): Promise<void> {
  const { mesh, agent, hostProbes, metrics, log } = deps;
  while (!signal.aborted && !agent.isDraining) {
    await pause(deps.intervalMs, signal);
    for (const { workload } of mesh.list()) {
      if (signal.aborted || agent.isDraining) return;
      const key = `${workload.namespace}/${workload.name}`;
      const startedAt = performance.now();
      await guarded(log, key, () =>
        agent.queue.exclusive(key, async () => {
          // Read again: it may have left while this waited for its turn.
          const pod = mesh.get(workload.uid);
          if (pod === undefined || agent.isDraining) return;
          const { repaired, ahead } = await mesh.repair(pod);
          if (repaired.length === 0 && ahead.length === 0) return;
          metrics.reconcileEvents.inc({ type: 'drift' });
          log.warn('redirection of a pod repaired', { pod: key, repaired, ahead });
          if (ahead.length === 0) return;
          const came = `rules in the network namespace of the pod came before those of the mesh: ${ahead.join('; ')}`;
          await deps.reportOverride(workload, `${came}. The mesh's go first again.`);
        }),
      );
      await pause(Math.max(0, perPodMinMs - (performance.now() - startedAt)), signal);
    }
    if (signal.aborted || agent.isDraining) return;
    await guarded(log, 'host', async () => {
      const repaired = await hostProbes.repair();
      if (repaired.length > 0) log.warn('probe rules of the node repaired', { repaired });
    });
  }
}

async function guarded(log: Logger, what: string, task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (error) {
    log.warn('drift check failed', { what, error: messageOf(error) });
  }
}
