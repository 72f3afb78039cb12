import { apiError } from '../http/api-error.js';
import { type Exchange, setWarnings } from '../http/exchange.js';
import type { JsonObject } from '../json.js';
import { apiVersionOf, type KubeObject } from '../object.js';
import type { AnswerForm } from '../printing/negotiate.js';
import { type IncludeObject, partialMetadata, toTable } from '../printing/table.js';
import { present } from '../registry/operations.js';
import type { Resource } from '../registry/resource.js';
import type { Store, StoreEvent } from '../storage/store.js';

const bookmarkIntervalMs = 30_000;
const defaultTimeoutSeconds = 1800;
/** A watcher that leaves this much unread is cut; it resumes from its last revision. */
const unreadMaxBytes = 16 * 1024 * 1024;

/** What a watch shows and from where. */
export interface WatchOptions {
  readonly resource: Resource;
  readonly namespace: string | undefined;
  readonly matches: (object: KubeObject) => boolean;
  /** '' or '0': begin with what exists. */
  readonly resourceVersion: string;
  readonly sendsInitialEvents: boolean;
  readonly allowsBookmarks: boolean;
  readonly timeoutSeconds: number | undefined;
  readonly form: AnswerForm;
  readonly include: IncludeObject;
}

/**
 * Serves one watch: replayed history or existing objects first, then changes
 * as they commit, until the client leaves, the timeout passes, or the client
 * reads so slowly that it has to start over.
 */
export class WatchStream {
  readonly #exchange: Exchange;
  readonly #store: Store;
  readonly #options: WatchOptions;
  #isFirstTable = true;
  #isClosed = false;
  #close: () => void = () => undefined;

  constructor(exchange: Exchange, store: Store, options: WatchOptions) {
    this.#exchange = exchange;
    this.#store = store;
    this.#options = options;
  }

  /** Runs the watch to its end. Throws before the first byte for a bad or too old revision. */
  async run(): Promise<void> {
    const { resource, resourceVersion, sendsInitialEvents, timeoutSeconds, allowsBookmarks } = this.#options;
    if (resourceVersion !== '' && !/^\d+$/.test(resourceVersion)) {
      throw apiError.badRequest(`invalid resource version "${resourceVersion}"`);
    }
    const isFromNow = resourceVersion === '' || resourceVersion === '0' || sendsInitialEvents;
    const from = Number(resourceVersion);
    const replay = isFromNow ? [] : this.#store.since(resource.storage, from);
    const { response, signal } = this.#exchange;
    response.statusCode = 200;
    response.setHeader('Content-Type', 'application/json');
    response.setHeader('Cache-Control', 'no-cache, private');
    response.setHeader('Transfer-Encoding', 'chunked');
    setWarnings(this.#exchange);
    response.flushHeaders();
    if (replay === undefined) {
      this.#write(
        'ERROR',
        apiError.expired(`too old resource version: ${from} (${this.#store.revision})`).toStatus(),
      );
      response.end();
      return;
    }
    const unsubscribe = this.#store.subscribe(resource.storage, (event) => {
      this.#onEvent(event);
    });
    const ended = new Promise<void>((resolve) => {
      this.#close = resolve;
    });
    signal.addEventListener('abort', this.#close, { once: true });
    response.once('close', this.#close);
    const timeoutMs = (timeoutSeconds ?? defaultTimeoutSeconds) * 1000;
    const timeout = setTimeout(this.#close, Math.min(timeoutMs, 2 ** 31 - 1));
    const bookmarks = allowsBookmarks ? setInterval(() => this.#bookmark({}), bookmarkIntervalMs) : undefined;
    try {
      if (isFromNow) {
        for (const object of this.#store.list(resource.storage, this.#options.namespace)) {
          const shown = present(object, resource);
          if (this.#options.matches(shown)) this.#send('ADDED', shown);
        }
        if (sendsInitialEvents && allowsBookmarks) this.#bookmark({ 'k8s.io/initial-events-end': 'true' });
      } else for (const event of replay) this.#onEvent(event);
      if (signal.aborted) return;
      await ended;
    } finally {
      this.#isClosed = true;
      unsubscribe();
      clearTimeout(timeout);
      clearInterval(bookmarks);
      signal.removeEventListener('abort', this.#close);
      response.end();
    }
  }

  #onEvent(event: StoreEvent): void {
    if (this.#isClosed) return;
    const { namespace, resource, matches } = this.#options;
    if (namespace !== undefined && event.object.metadata.namespace !== namespace) return;
    const now = present(event.object, resource);
    const isMatch = matches(now);
    const wasMatch = event.previous !== undefined && matches(present(event.previous, resource));
    // A selector turns changes of membership into additions and deletions.
    if (event.type === 'DELETED') {
      if (wasMatch) this.#send('DELETED', now);
    } else if (isMatch) this.#send(wasMatch ? 'MODIFIED' : 'ADDED', now);
    else if (wasMatch) this.#send('DELETED', now);
  }

  #bookmark(annotations: Record<string, string>): void {
    if (this.#isClosed) return;
    const { resource, form } = this.#options;
    const metadata = {
      resourceVersion: String(this.#store.revision),
      creationTimestamp: null,
      ...(Object.keys(annotations).length === 0 ? {} : { annotations }),
    };
    if (form === 'table') {
      const marker = {
        kind: resource.kind,
        apiVersion: apiVersionOf(resource.group, resource.version),
        metadata,
      };
      this.#write('BOOKMARK', {
        kind: 'Table',
        apiVersion: 'meta.k8s.io/v1',
        metadata: { resourceVersion: metadata.resourceVersion },
        columnDefinitions: [],
        rows: [{ cells: resource.columns.map(() => ''), object: marker }],
      });
      return;
    }
    const type =
      form === 'metadata'
        ? { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' }
        : { kind: resource.kind, apiVersion: apiVersionOf(resource.group, resource.version) };
    this.#write('BOOKMARK', { ...type, metadata });
  }

  #send(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: KubeObject): void {
    const { form, resource, include } = this.#options;
    if (form === 'metadata') this.#write(type, partialMetadata(object));
    else if (form === 'table') {
      const withColumns = this.#isFirstTable;
      this.#isFirstTable = false;
      const metadata = { resourceVersion: object.metadata.resourceVersion };
      this.#write(type, toTable([object], resource, { include, metadata, withColumns }));
    } else this.#write(type, object);
  }

  #write(type: string, object: JsonObject): void {
    const { response } = this.#exchange;
    response.write(`${JSON.stringify({ type, object })}\n`);
    if (response.writableLength > unreadMaxBytes) {
      this.#isClosed = true;
      response.destroy();
      this.#close();
    }
  }
}
