import { createHash } from 'node:crypto';
import type { KubeClient } from '#base/kube/client.js';
import { events } from '#base/kube/resource.js';
import type { KubeEvent, KubeObject } from '#base/kube/types.js';

/** Events kept in memory so that repetitions raise a count instead of making new objects. */
const rememberedMax = 4096;
/** Events waiting to be written; beyond this, new ones are dropped: events must never slow the cluster. */
const pendingMax = 1000;
const messageMaxChars = 1024;

/** One thing that happened to an object. */
export interface EventNote {
  readonly about: KubeObject;
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
}

/** Writes events the way kubectl shows them: repeated ones are counted on one object. Failures are dropped. */
export class EventRecorder {
  readonly #client: KubeClient;
  readonly #component: string;
  readonly #known = new Map<string, KubeEvent>();
  #tail: Promise<void> = Promise.resolve();
  #pending = 0;

  constructor(o: { readonly client: KubeClient; readonly component: string }) {
    this.#client = o.client;
    this.#component = o.component;
  }

  record(note: EventNote): void {
    if (this.#pending >= pendingMax) return;
    this.#pending++;
    this.#tail = this.#tail
      .then(() => this.#write(note))
      // An event that cannot be written (namespace gone, server restarting) has no one to tell.
      .catch(() => undefined)
      .finally(() => {
        this.#pending--;
      });
  }

  async #write(note: EventNote): Promise<void> {
    const { about } = note;
    const id = [about.metadata.uid, note.type, note.reason, note.message].join('\n');
    const now = `${new Date().toISOString().slice(0, 19)}Z`;
    const known = this.#known.get(id);
    if (known !== undefined) {
      const count = (known.count ?? 1) + 1;
      this.#known.set(id, { ...known, count });
      const ref = { resource: events, namespace: namespaceOf(about), name: known.metadata.name };
      try {
        await this.#client.patch(ref, { count, lastTimestamp: now });
        return;
      } catch {
        // It has expired or was deleted; a new one is made.
        this.#known.delete(id);
      }
    }
    const hash = createHash('sha1').update(`${id}${now}${this.#component}`).digest('hex').slice(0, 16);
    const event: KubeEvent = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${about.metadata.name}.${hash}`, namespace: namespaceOf(about) },
      involvedObject: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        name: about.metadata.name,
        ...(about.metadata.namespace === undefined ? {} : { namespace: about.metadata.namespace }),
        ...(about.metadata.uid === undefined ? {} : { uid: about.metadata.uid }),
      },
      reason: note.reason,
      message: note.message.slice(0, messageMaxChars),
      type: note.type,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: { component: this.#component },
      reportingComponent: this.#component,
    };
    await this.#client.create(events, event, { namespace: namespaceOf(about) });
    this.#known.set(id, event);
    if (this.#known.size > rememberedMax) {
      const oldest = this.#known.keys().next();
      if (oldest.done !== true) this.#known.delete(oldest.value);
    }
  }
}

/** Events about cluster-scoped objects live in `default`. */
function namespaceOf(object: KubeObject): string {
  return object.metadata.namespace ?? 'default';
}
