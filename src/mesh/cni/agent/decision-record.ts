import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '#base/errors/mesh-error.js';
import type { Reflector } from '#base/kube/reflector.js';
import type { Namespace, Pod } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { writeAtomically } from '../installer/atomic-file.js';
import type { NodeAgent } from './node-agent.js';

export interface DecisionRecordDeps {
  /** Shared with the plugin. */
  readonly dir: string;
  readonly pods: Reflector<Pod>;
  readonly namespaces: Reflector<Namespace>;
  readonly agent: NodeAgent;
  readonly log: Logger;
}

/** Changes within this time are written at once. */
const settleMs = 200;

/**
 * What the plugin goes by while no agent answers it: the namespaces outside the mesh, and that the agent left the
 * node for good. A namespace is outside when its labels enroll no pod by themselves and, for as long as this agent
 * has been running, no pod of it on this node was enrolled by labels of its own. Everything else waits for an agent.
 */
export class DecisionRecord {
  readonly #deps: DecisionRecordDeps;
  readonly #path: string;
  /** Namespaces with pods that were enrolled one by one. */
  readonly #mixed = new Set<string>();
  #written: string | undefined;
  #timer: NodeJS.Timeout | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(deps: DecisionRecordDeps) {
    this.#deps = deps;
    this.#path = join(deps.dir, 'record');
  }

  /** Writes the record, and again with every change until the signal aborts. The informers must be synced. */
  async follow(signal: AbortSignal): Promise<void> {
    const { pods, namespaces } = this.#deps;
    const flush = (): void => {
      if (this.#timer === undefined) return;
      clearTimeout(this.#timer);
      this.#timer = undefined;
      void this.#write('');
    };
    const onChange = (): void => {
      this.#timer ??= setTimeout(flush, settleMs);
    };
    const stops = [pods.onChange(onChange), namespaces.onChange(onChange)];
    signal.addEventListener('abort', () => {
      for (const stop of stops) stop();
      flush();
    });
    await this.#write('');
  }

  /** The last entry: the agent leaves the node for good, and why, in words that need no escaping. */
  close(departure: string): Promise<void> {
    return this.#write(`left ${departure.replaceAll(/[^A-Za-z0-9 .,:/_-]/g, ' ')}\n`);
  }

  /** Takes the folder away: no plugin is left that could read it. */
  discard(): Promise<void> {
    this.#last = this.#last.then(() => rmSync(this.#deps.dir, { recursive: true, force: true }));
    return this.#last;
  }

  #write(head: string): Promise<void> {
    this.#last = this.#last.then(async () => {
      const text =
        head +
        this.#outside()
          .map((name) => `outside ${name}\n`)
          .join('');
      if (text === this.#written) return;
      try {
        await writeAtomically(this.#path, text, { mode: 0o600 });
        this.#written = text;
      } catch (error) {
        this.#deps.log.warn('decisions could not be written down', { error: messageOf(error) });
        // An old record could let a pod through that belongs in the mesh by now.
        this.#written = undefined;
        rmSync(this.#path, { force: true });
      }
    });
    return this.#last;
  }

  #outside(): readonly string[] {
    const { pods, namespaces, agent } = this.#deps;
    const plain = namespaces
      .list()
      .map(({ metadata }) => metadata.name)
      .filter((name) => agent.decide(podWithoutLabels(name))?.isEnrolled === false);
    const isPlain = new Set(plain);
    for (const pod of pods.list()) {
      const namespace = pod.metadata.namespace ?? '';
      if (isPlain.has(namespace) && agent.decide(pod)?.isEnrolled === true) this.#mixed.add(namespace);
    }
    return plain.filter((name) => !this.#mixed.has(name)).sort();
  }
}

function podWithoutLabels(namespace: string): Pod {
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: '', namespace }, spec: { containers: [] } };
}
