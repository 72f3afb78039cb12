import type { Logger } from '#base/telemetry/log.js';
import { untilAborted } from '#base/system/until.js';
import { DeltaClient, type DeltaClientOptions, type XdsEvents } from '../xds/client/delta-client.js';

export interface ControlPlaneOptions extends Omit<DeltaClientOptions, 'events'> {
  readonly log: Logger;
  /** Told as well as the log, for metrics. */
  readonly events?: Pick<XdsEvents, 'disconnected' | 'message'>;
}

/**
 * Follows the controller for as long as the program runs: logs what happens on the stream, and knows whether every
 * type of configuration was received once. What was received stays in force while the controller is away.
 */
export class ControlPlane {
  readonly #options: ControlPlaneOptions;
  readonly #synced = new AbortController();

  constructor(options: ControlPlaneOptions) {
    this.#options = options;
  }

  /** Whether every type of configuration was received. */
  get isSynced(): boolean {
    return this.#synced.signal.aborted;
  }

  /** Resolves when the configuration is complete, or at the end of the signal. */
  untilSynced(signal: AbortSignal): Promise<void> {
    return untilAborted(AbortSignal.any([this.#synced.signal, signal]));
  }

  /** Follows until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { log, events, ...rest } = this.#options;
    const client = new DeltaClient({
      ...rest,
      events: {
        connected: () => log.info('connected to the control plane'),
        disconnected: (event) => {
          events?.disconnected?.(event);
          const { reason, error, retryMs } = event;
          if (error === undefined) log.info('the control plane ended the stream', { retryMs });
          else log.warn('no stream to the control plane', { reason, error, retryMs });
        },
        message: (event) => {
          events?.message?.(event);
          const { typeUrl, resourceCount, removedCount } = event;
          log.debug('received', { type: typeUrl, resources: resourceCount, removed: removedCount });
        },
        rejected: ({ typeUrl, detail }) => log.warn('rejected resources', { type: typeUrl, detail }),
      },
    });
    client.synced(signal).then(
      () => this.#synced.abort(),
      () => undefined,
    );
    await client.run(signal);
  }
}
