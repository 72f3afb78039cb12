import { metaApiVersion } from '../http/answer-object.js';
import type { Accepted } from '../http/negotiation.js';
import type { JsonObject } from '../json.js';
import { apiVersionOf, type KubeObject } from '../object.js';
import { type IncludeObject, partialMetadata, toTable } from '../printing/table.js';
import type { Resource } from '../registry/resource.js';

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** The annotation on the bookmark after which a watch has shown everything that existed. */
const initialEventsEnd = 'k8s.io/initial-events-end';

/** How one watch shows objects. */
export interface FrameOptions {
  readonly resource: Resource;
  readonly accepted: Accepted;
  readonly include: IncludeObject;
}

/** The object whose text was made last: watchers of the same objects are served one after the other. */
let latest: { readonly object: KubeObject; readonly text: string } | undefined;

function textOf(object: KubeObject): string {
  if (latest?.object !== object) latest = { object, text: JSON.stringify(object) };
  return latest.text;
}

/** Makes the frames of one watch: a line of JSON for each event. */
export class WatchFrames {
  readonly #options: FrameOptions;
  #isFirstTable = true;

  constructor(options: FrameOptions) {
    this.#options = options;
  }

  /** An object as it is now. */
  object(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: KubeObject): Buffer {
    const { resource, include, accepted } = this.#options;
    const meta = { apiVersion: metaApiVersion(accepted.metaVersion) };
    switch (accepted.form) {
      case 'object':
        return Buffer.from(`{"type":"${type}","object":${textOf(object)}}\n`);
      case 'metadata':
        return frame(type, { ...partialMetadata(object), ...meta });
      case 'table': {
        const metadata = { resourceVersion: object.metadata.resourceVersion };
        const withColumns = this.#isFirstTable;
        this.#isFirstTable = false;
        return frame(type, { ...toTable([object], resource, { include, metadata, withColumns }), ...meta });
      }
    }
  }

  /** Tells how far the watch has come. */
  bookmark(revision: number, options: { readonly endsInitialEvents: boolean }): Buffer {
    const { resource, accepted } = this.#options;
    const meta = { apiVersion: metaApiVersion(accepted.metaVersion) };
    const type = { kind: resource.kind, apiVersion: apiVersionOf(resource.group, resource.version) };
    const resourceVersion = String(revision);
    const metadata: JsonObject = {
      resourceVersion,
      creationTimestamp: null,
      ...(options.endsInitialEvents ? { annotations: { [initialEventsEnd]: 'true' } } : {}),
    };
    switch (accepted.form) {
      case 'object':
        return frame('BOOKMARK', { ...type, metadata });
      case 'metadata':
        return frame('BOOKMARK', { kind: 'PartialObjectMetadata', ...meta, metadata });
      case 'table':
        return frame('BOOKMARK', {
          kind: 'Table',
          ...meta,
          metadata: { resourceVersion },
          columnDefinitions: [],
          rows: [{ cells: resource.columns.map(() => ''), object: { ...type, metadata } }],
        });
    }
  }
}

/** Any event as a line of JSON. */
export function frame(type: WatchEventType, object: JsonObject): Buffer {
  return Buffer.from(`${JSON.stringify({ type, object })}\n`);
}
