import type { KubeClient } from '#base/kube/client.js';
import { events } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import type { Logger } from '#base/telemetry/log.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { seconds } from '../model/time.js';

/** What an event is about. */
export interface EventTarget {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid?: string;
    readonly resourceVersion?: string;
  };
}

export interface EventDetails {
  readonly type: 'Normal' | 'Warning';
  readonly reason: string;
  readonly message: string;
  /** Field path of the container the event is about. */
  readonly fieldPath?: string | undefined;
}

interface Seen {
  name: string;
  count: number;
}

const seenMax = 1024;
const messageMaxChars = 1024;
/** More than this many waiting events means the API server is away: the newest are dropped. */
const pendingMax = 256;

/** Records events as kubelet does: equal events raise the count of the first one. */
export class EventRecorder {
  readonly #client: KubeClient;
  readonly #logger: Logger;
  readonly #source: { component: string; host: string };
  readonly #seen = new Map<string, Seen>();
  #pending = 0;
  #queue: Promise<void> = Promise.resolve();

  constructor(o: { client: KubeClient; logger: Logger; nodeName: string }) {
    this.#client = o.client;
    this.#logger = o.logger;
    this.#source = { component: 'kubelet', host: o.nodeName };
  }

  /** Queues the event; recording is best effort and never fails the caller. */
  record(target: EventTarget, details: EventDetails): void {
    if (this.#pending >= pendingMax) return;
    this.#pending += 1;
    this.#queue = this.#queue
      .then(() => this.#send(target, details))
      .catch((error: unknown) =>
        this.#logger.debug('event not recorded', { reason: details.reason, error: messageOf(error) }),
      )
      .finally(() => {
        this.#pending -= 1;
      });
  }

  /** Resolves when everything queued so far has been sent or given up. */
  flush(): Promise<void> {
    return this.#queue;
  }

  async #send(target: EventTarget, details: EventDetails): Promise<void> {
    const namespace = target.metadata.namespace ?? 'default';
    const now = seconds(new Date());
    const message = details.message.slice(0, messageMaxChars);
    const key = JSON.stringify([target.metadata.uid, details.reason, details.fieldPath, message]);
    const seen = this.#seen.get(key);
    if (seen !== undefined) {
      seen.count += 1;
      await this.#client.patch(
        { resource: events, namespace, name: seen.name },
        { count: seen.count, lastTimestamp: now },
      );
      return;
    }
    const name = `${target.metadata.name}.${Date.now().toString(16)}${Math.floor(Math.random() * 2 ** 24).toString(16)}`;
    this.#remember(key, { name, count: 1 });
    await this.#client.create<KubeObject>(
      events,
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace },
        involvedObject: {
          apiVersion: target.apiVersion,
          kind: target.kind,
          name: target.metadata.name,
          ...(target.metadata.namespace === undefined ? {} : { namespace }),
          uid: target.metadata.uid,
          ...(details.fieldPath === undefined ? {} : { fieldPath: details.fieldPath }),
        },
        type: details.type,
        reason: details.reason,
        message,
        source: this.#source,
        reportingComponent: this.#source.component,
        reportingInstance: this.#source.host,
        firstTimestamp: now,
        lastTimestamp: now,
        count: 1,
      },
      { namespace },
    );
  }

  #remember(key: string, seen: Seen): void {
    this.#seen.set(key, seen);
    const [oldest] = this.#seen.keys();
    if (this.#seen.size > seenMax && oldest !== undefined) this.#seen.delete(oldest);
  }
}
