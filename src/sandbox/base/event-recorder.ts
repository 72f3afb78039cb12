import { randomBytes } from 'node:crypto';
import type { KubeClient } from '#base/kube/client.js';
import { events } from '#base/kube/resource.js';
import type { KubeEvent } from '#base/kube/types.js';
import { timestamp } from './timestamp.js';

/** Events kept in memory so that repetitions raise a count instead of making new objects. */
const rememberedMax = 4096;
/** Events waiting to be written; beyond this, new ones are dropped: events must never slow the cluster. */
const pendingMax = 1000;
const messageMaxChars = 1024;

/** What an event is about. */
export interface EventTarget {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string | undefined;
    readonly uid?: string | undefined;
  };
}

export interface EventDetails {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  /** Field path of the container the event is about. */
  readonly fieldPath?: string | undefined;
}

/** One thing that happened to an object. */
export interface EventNote extends EventDetails {
  readonly about: EventTarget;
}

/** Writes events the way kubectl shows them: repeated ones are counted on one object. Failures are dropped. */
export class EventRecorder {
  readonly #client: KubeClient;
  readonly #source: { readonly component: string; readonly host?: string };
  readonly #known = new Map<string, KubeEvent>();
  #tail: Promise<void> = Promise.resolve();
  #pending = 0;

  /** @param o.host the node that reports, if one does. */
  constructor(o: { readonly client: KubeClient; readonly component: string; readonly host?: string }) {
    this.#client = o.client;
    this.#source = { component: o.component, ...(o.host === undefined ? {} : { host: o.host }) };
  }

  /** Queues the event; never fails the caller. */
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

  /** Resolves when everything queued so far has been sent or given up. */
  flush(): Promise<void> {
    return this.#tail;
  }

  async #write(note: EventNote): Promise<void> {
    const { about } = note;
    const { name, uid } = about.metadata;
    // Events about cluster-scoped objects live in `default`.
    const namespace = about.metadata.namespace ?? 'default';
    const message = note.message.slice(0, messageMaxChars);
    const id = JSON.stringify([uid, note.type, note.reason, note.fieldPath, message]);
    const now = timestamp();
    const known = this.#known.get(id);
    if (known !== undefined) {
      const count = (known.count ?? 1) + 1;
      this.#known.set(id, { ...known, count });
      try {
        await this.#client.patch(
          { resource: events, namespace, name: known.metadata.name },
          { count, lastTimestamp: now },
        );
        return;
      } catch {
        // It has expired or was deleted; a new one is made.
        this.#known.delete(id);
      }
    }
    const event: KubeEvent = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
      involvedObject: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        name,
        ...(about.metadata.namespace === undefined ? {} : { namespace }),
        ...(uid === undefined ? {} : { uid }),
        ...(note.fieldPath === undefined ? {} : { fieldPath: note.fieldPath }),
      },
      type: note.type,
      reason: note.reason,
      message,
      count: 1,
      firstTimestamp: now,
      lastTimestamp: now,
      source: this.#source,
      reportingComponent: this.#source.component,
      ...(this.#source.host === undefined ? {} : { reportingInstance: this.#source.host }),
    };
    await this.#client.create(events, event, { namespace });
    this.#known.set(id, event);
    if (this.#known.size > rememberedMax) {
      const oldest = this.#known.keys().next();
      if (oldest.done !== true) this.#known.delete(oldest.value);
    }
  }
}
