import type { ApiObject } from '../object.js';
import { apiVersionOf } from '#base/kube/resource.js';
import { toTable } from '../printing/table.js';
import { partialMetadata } from '../printing/table.js';
import { FieldSelector } from '../registry/field-selector.js';
import { LabelQuery } from '../registry/label-selector.js';
import type { Operations } from '../registry/operations.js';
import { preparePresent, present } from '../registry/present.js';
import type { ServedResource } from '../registry/resource.js';
import { watchEvents } from '../watch/watch-events.js';
import { WatchStream } from '../watch/watch-stream.js';
import { answerObject, includeOf, metaApiVersion } from '../http/answer-object.js';
import { type ApiExchange, sendJson } from '../http/exchange.js';
import { assertReached, datedList, pageOf } from '../http/list-pages.js';
import { type ListQuery, listOptions, revisionOf } from '../http/list-options.js';
import { negotiate } from '../http/negotiation.js';
import type { ResourcePath } from '../http/request-info.js';

/** What a request selects, as a test on presented objects. */
export interface ListSelection {
  /** Whether it can leave out anything at all. */
  readonly isFiltered: boolean;
  readonly matches: (object: ApiObject) => boolean;
}

/** Reads the selectors of a list, watch or deletion. Throws 400. */
export function selectionOf(
  options: Pick<ListQuery, 'labelSelector' | 'fieldSelector'>,
  path: ResourcePath,
  resource: ServedResource,
): ListSelection {
  const labels = LabelQuery.parse(options.labelSelector);
  const fields = FieldSelector.parse(options.fieldSelector, resource);
  const { name } = path;
  return {
    isFiltered: !labels.isEmpty || !fields.isEmpty || name !== undefined,
    matches: (o) =>
      labels.matches(o.metadata.labels) &&
      fields.matches(o) &&
      (name === undefined || o.metadata.name === name),
  };
}

/** Handles get, list and watch of any resource. */
export class ReadHandler {
  readonly #operations: Operations;

  constructor(operations: Operations) {
    this.#operations = operations;
  }

  async get(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const resourceVersion = exchange.url.searchParams.get('resourceVersion') ?? '';
    if (resourceVersion !== '') assertReached(this.#operations.store, revisionOf(resourceVersion));
    const object = await this.#operations.read(resource, {
      namespace: path.namespace,
      name: path.name ?? '',
    });
    answerObject(exchange, 200, object, resource);
  }

  async list(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const { store } = this.#operations;
    const options = listOptions(exchange.url.searchParams, false);
    const { isFiltered, matches } = selectionOf(options, path, resource);
    const found = datedList(store, resource.storage, path.namespace, options);
    await preparePresent(found.objects, resource);
    const objects = found.objects.map((o) => present(o, resource)).filter(matches);
    const page = pageOf({ ...found, objects }, isFiltered);
    const { form, metaVersion } = exchange.accepted;
    const meta = { apiVersion: metaApiVersion(metaVersion) };
    if (form === 'table') {
      const table = toTable(page.items, resource, {
        include: includeOf(exchange),
        metadata: page.metadata,
        withColumns: true,
      });
      return sendJson(exchange, 200, { ...table, ...meta });
    }
    if (form === 'metadata') {
      return sendJson(exchange, 200, {
        kind: 'PartialObjectMetadataList',
        ...meta,
        metadata: page.metadata,
        items: page.items.map((o) => ({ ...partialMetadata(o), ...meta })),
      });
    }
    const isCustom = resource.isCustom;
    sendJson(exchange, 200, {
      kind: `${resource.kind}List`,
      apiVersion: apiVersionOf(resource),
      metadata: page.metadata,
      // Items of built-in lists carry no type of their own, as in Kubernetes.
      items: page.items.map((o) => {
        if (isCustom) return o;
        const { apiVersion: _a, kind: _k, ...rest } = o;
        return rest;
      }),
    });
  }

  /** Begins a watch over HTTP and serves it to its end. Throws before the first byte for bad options. */
  async watch(exchange: ApiExchange, path: ResourcePath, resource: ServedResource): Promise<void> {
    const events = this.eventsOf(exchange, path, resource);
    await new WatchStream(exchange, events).run();
  }

  /** The events a watch request asks for. Throws 400, 406 and 422. */
  eventsOf(
    exchange: Pick<ApiExchange, 'url' | 'request'>,
    path: ResourcePath,
    resource: ServedResource,
  ): ReturnType<typeof watchEvents> {
    const options = listOptions(exchange.url.searchParams, true);
    const { matches } = selectionOf(options, path, resource);
    const accepted = negotiate(exchange.request.headers.accept, {
      allowsTable: options.sendInitialEvents !== true,
      isCustom: resource.isCustom,
    });
    return watchEvents(this.#operations.store, {
      resource,
      namespace: path.namespace,
      matches,
      resourceVersion: options.resourceVersion,
      sendInitialEvents: options.sendInitialEvents,
      allowsBookmarks: options.allowsBookmarks,
      timeoutSeconds: options.timeoutSeconds,
      accepted,
      include: includeOf(exchange),
    });
  }
}
