import { pause } from '#base/system/until.js';
import type { Probe } from '#base/kube/types.js';
import type { ProbeOutcome } from './prober.js';

export interface ProbeWorkerOptions {
  readonly probe: Probe;
  /**
   * Looks every half second until the first success. Right for readiness, where an
   * early failure changes nothing and an early success saves up to a period.
   */
  readonly isEager: boolean;
  readonly attempt: (timeoutMs: number) => Promise<ProbeOutcome>;
  /** Every failed attempt, for events. */
  readonly onFailure: (message: string) => void;
  /** A success worth telling. */
  readonly onWarning: (message: string) => void;
  /** The verdict after the thresholds; only changes are reported, the first verdict included. */
  readonly onVerdict: (isSuccess: boolean, message: string) => void;
}

const eagerPeriodMs = 250;
const reportDelayMs = 2_000;

/** Repeats a probe with Kubernetes' defaults and thresholds until stopped. */
export class ProbeWorker {
  readonly #abort = new AbortController();
  readonly #o: ProbeWorkerOptions;

  constructor(options: ProbeWorkerOptions) {
    this.#o = options;
    void this.#loop();
  }

  stop(): void {
    this.#abort.abort();
  }

  async #loop(): Promise<void> {
    const { probe } = this.#o;
    const { signal } = this.#abort;
    const periodMs = (probe.periodSeconds ?? 10) * 1000;
    const timeoutMs = (probe.timeoutSeconds ?? 1) * 1000;
    let verdict: boolean | undefined;
    let last: boolean | undefined;
    let inARow = 0;
    // That a server does not listen in its first instants is not worth a warning.
    let nextReportAtMs = this.#o.isEager ? Date.now() + reportDelayMs : 0;
    await pause((probe.initialDelaySeconds ?? 0) * 1000, signal);
    while (!signal.aborted) {
      const outcome = await this.#o.attempt(timeoutMs);
      if (signal.aborted) return;
      if (!outcome.isSuccess && Date.now() >= nextReportAtMs) {
        nextReportAtMs = Date.now() + periodMs - eagerPeriodMs;
        this.#o.onFailure(outcome.message);
      }
      if (outcome.isWarning === true) this.#o.onWarning(outcome.message);
      inARow = last === outcome.isSuccess ? inARow + 1 : 1;
      last = outcome.isSuccess;
      const needed = outcome.isSuccess ? (probe.successThreshold ?? 1) : (probe.failureThreshold ?? 3);
      if (inARow >= needed && (verdict !== outcome.isSuccess || !outcome.isSuccess)) {
        verdict = outcome.isSuccess;
        // A failure is repeated: a liveness verdict may have found the container already restarting.
        this.#o.onVerdict(outcome.isSuccess, outcome.message);
      }
      await pause(this.#o.isEager && verdict !== true ? Math.min(periodMs, eagerPeriodMs) : periodMs, signal);
    }
  }
}
