import { Graph, type Recomputations } from '../graph/graph.js';
import type { ChangedNames, ResourceSource } from '../../xds/server/source.js';
import { createAmbientIndex, type AmbientIndex } from './ambient-index.js';
import type { MeshCluster } from './input-view.js';
import { FlushPace } from './flush-pace.js';
import { createInputs, type Inputs } from './inputs.js';
import type { MeshConfig } from '../../rules/mesh-config.js';
import { ChangeCollector, createSources } from './xds-sources.js';

export interface MeshStateOptions {
  readonly cluster: MeshCluster;
  readonly mesh: MeshConfig;
  /** Called after every recomputation that changed something. */
  readonly onPush: (changed: ChangedNames) => void;
  /** Told of every recomputation; `tookMs` includes handing the change to `onPush`. */
  readonly onRecomputed?: (flush: {
    readonly recomputations: Recomputations;
    readonly tookMs: number;
  }) => void;
  /** Told of an object that cannot be made sense of; what it last meant stays in force. */
  readonly onError: (key: string, error: unknown) => void;
}

/**
 * The mesh as derived from the cluster. States: loading (inputs are being filled, nothing is
 * computed) -> running (changes are gathered for a moment, then recomputed and pushed).
 */
export class MeshState {
  readonly inputs: Inputs;
  readonly index: AmbientIndex;
  readonly sources: readonly ResourceSource[];
  readonly graph: Graph;
  readonly #options: MeshStateOptions;
  readonly #collector: ChangeCollector;
  readonly #epoch = Date.now().toString(36);
  #isRunning = false;
  #isFlushing = false;
  #pushCount = 0;
  readonly #pace = new FlushPace();
  /** When the last change came that the timer knows of. */
  #staleMs = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MeshStateOptions) {
    this.#options = options;
    this.graph = new Graph(
      () => this.#onStale(),
      (key, error) => options.onError(key, error),
    );
    this.inputs = createInputs(this.graph, options.mesh);
    this.index = createAmbientIndex(this.graph, this.inputs, options.cluster);
    this.sources = createSources(this.index);
    this.#collector = new ChangeCollector(this.graph, this.index);
  }

  /** False until every input was read once: nobody may be given an incomplete state. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Names the state that reads see now; grows with every push and is unique to this process. */
  get version(): string {
    return `${this.#epoch}/${this.#pushCount}`;
  }

  /** Computes the first state from complete inputs and starts following changes. */
  run(): void {
    this.#isRunning = true;
    this.#flush();
  }

  /** Recomputes now instead of after the quiet time. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#flush();
  }

  /** Stops following changes. */
  stop(): void {
    this.#isRunning = false;
    clearTimeout(this.#timer);
  }

  #onStale(): void {
    // What a recomputation itself makes stale is computed by it.
    if (!this.#isRunning || this.#isFlushing) return;
    const nowMs = Math.floor(performance.now());
    // One change of an object may make thousands of computations stale.
    if (this.#timer !== undefined && nowMs === this.#staleMs) return;
    this.#staleMs = nowMs;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), this.#pace.changed(nowMs));
  }

  #recompute(): Recomputations {
    this.#isFlushing = true;
    try {
      return this.graph.flush();
    } finally {
      this.#isFlushing = false;
    }
  }

  #flush(): void {
    this.#timer = undefined;
    this.#pace.began();
    const startedAt = performance.now();
    const usage = process.cpuUsage();
    const recomputations = this.#recompute();
    const changed = this.#collector.take();
    if (changed.size > 0) {
      this.#pushCount += 1;
      this.#options.onPush(changed);
    }
    this.#options.onRecomputed?.({ recomputations, tookMs: performance.now() - startedAt });
    // Streams write in this turn and the next. What others take of the processor meanwhile is no cost of ours.
    setImmediate(() => {
      const { user, system } = process.cpuUsage(usage);
      this.#pace.ended(performance.now(), (user + system) / 1_000);
    });
  }
}
