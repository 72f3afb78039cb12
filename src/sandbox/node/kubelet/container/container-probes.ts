import type { Probe } from '#base/kube/types.js';
import { ProbeWorker } from '../../probe/probe-worker.js';
import type { ProbeOutcome } from '../../probe/prober.js';
import type { EventDetails } from '../../../base/event-recorder.js';
import type { ContainerSlot } from './container-slot.js';

export interface ContainerProbesDeps {
  readonly slot: ContainerSlot;
  readonly attempt: (probe: Probe, timeoutMs: number) => Promise<ProbeOutcome>;
  readonly emit: (details: EventDetails) => void;
  /** Readiness or started changed. */
  readonly onChange: () => void;
  /** A liveness or startup probe has failed for good. */
  readonly onUnhealthy: (probe: Probe, name: 'liveness' | 'startup') => void;
}

type ProbeName = 'Startup' | 'Liveness' | 'Readiness';

/**
 * The probes of one container instance: startup first, alone; then liveness and
 * readiness. Readiness goes on while the container is being stopped, as kubelet's does.
 */
export class ContainerProbes {
  readonly #deps: ContainerProbesDeps;
  readonly #workers = new Map<ProbeName, ProbeWorker>();

  constructor(deps: ContainerProbesDeps) {
    this.#deps = deps;
    const { startupProbe } = deps.slot.spec;
    if (startupProbe === undefined) this.#started();
    else
      this.#probe('Startup', startupProbe, (isSuccess) => {
        if (!isSuccess) deps.onUnhealthy(startupProbe, 'startup');
        else if (!deps.slot.isStarted) {
          this.#stop('Startup');
          this.#started();
        }
      });
  }

  /** The instance is going to end: nothing may restart it. */
  stopRestarting(): void {
    this.#stop('Startup');
    this.#stop('Liveness');
  }

  stop(): void {
    for (const name of this.#workers.keys()) this.#stop(name);
  }

  #started(): void {
    const { slot, onChange, onUnhealthy } = this.#deps;
    const { livenessProbe, readinessProbe } = slot.spec;
    slot.isStarted = true;
    slot.isReady = readinessProbe === undefined;
    if (readinessProbe !== undefined)
      this.#probe('Readiness', readinessProbe, (isSuccess) => {
        if (slot.isReady === isSuccess) return;
        slot.isReady = isSuccess;
        onChange();
      });
    if (livenessProbe !== undefined)
      this.#probe('Liveness', livenessProbe, (isSuccess) => {
        if (!isSuccess) onUnhealthy(livenessProbe, 'liveness');
      });
    onChange();
  }

  #probe(name: ProbeName, probe: Probe, onVerdict: (isSuccess: boolean) => void): void {
    const worker = new ProbeWorker({
      probe,
      isEager: name === 'Readiness',
      attempt: (timeoutMs) => this.#deps.attempt(probe, timeoutMs),
      onFailure: (message) =>
        this.#deps.emit({
          type: 'Warning',
          reason: 'Unhealthy',
          message: `${name} probe failed: ${message}`,
        }),
      onWarning: (message) =>
        this.#deps.emit({
          type: 'Warning',
          reason: 'ProbeWarning',
          message: `${name} probe warning: ${message}`,
        }),
      onVerdict,
    });
    this.#workers.set(name, worker);
  }

  #stop(name: ProbeName): void {
    this.#workers.get(name)?.stop();
    this.#workers.delete(name);
  }
}
