import { metaApiVersion } from '../http/answer-object.js';
import type { ApiError } from '../api-error.js';
import type { Accepted } from '../http/negotiation.js';
import type { JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { apiVersionOf } from '#base/kube/resource.js';
import { encodeProtobufObject, encodeWatchEvent } from '../protobuf/encode-object.js';
import { type IncludeObject, partialMetadata, toTable } from '../printing/table.js';
import type { ServedResource } from '../registry/resource.js';

type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR';

/** The annotation on the bookmark after which a watch has shown everything that existed. */
const initialEventsEnd = 'k8s.io/initial-events-end';

/** The annotation with the list that the client makes of these events, still empty, in its own encoding. */
const emptyListAnnotation = 'kubernetes.io/initial-events-list-blueprint';

/** How one watch shows objects. */
export interface FrameOptions {
  readonly resource: ServedResource;
  readonly accepted: Accepted;
  readonly include: IncludeObject;
}

/** The objects whose text and message were made last: watchers of the same objects are served one after the other. */
let latestText: { readonly object: ApiObject; readonly text: string } | undefined;
let latestMessage: { readonly object: ApiObject; readonly bytes: Buffer } | undefined;

function textOf(object: ApiObject): string {
  if (latestText?.object !== object) latestText = { object, text: JSON.stringify(object) };
  return latestText.text;
}

function messageOf(object: ApiObject): Buffer {
  if (latestMessage?.object !== object) latestMessage = { object, bytes: encodeProtobufObject(object) };
  return latestMessage.bytes;
}

/** Makes the frames of one watch: for each event a line of JSON, or a message with its length in front. */
export class WatchFrames {
  readonly #options: FrameOptions;
  #isFirstTable = true;

  constructor(options: FrameOptions) {
    this.#options = options;
  }

  /** An object as it is now. */
  object(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: ApiObject): Buffer {
    const { resource, include, accepted } = this.#options;
    const meta = { apiVersion: metaApiVersion(accepted.metaVersion) };
    switch (accepted.form) {
      case 'object':
        return accepted.serializer === 'protobuf'
          ? encodeWatchEvent(type, messageOf(object))
          : Buffer.from(`{"type":"${type}","object":${textOf(object)}}\n`);
      case 'metadata':
        return this.#frame(type, { ...partialMetadata(object), ...meta });
      case 'table': {
        const metadata = { resourceVersion: object.metadata.resourceVersion };
        const withColumns = this.#isFirstTable;
        this.#isFirstTable = false;
        return this.#frame(type, {
          ...toTable([object], resource, { include, metadata, withColumns }),
          ...meta,
        });
      }
    }
  }

  /** Tells why the watch ends. */
  error(error: ApiError): Buffer {
    return this.#frame('ERROR', error.toStatus());
  }

  /** Tells how far the watch has come. */
  bookmark(revision: number, options: { readonly endsInitialEvents: boolean }): Buffer {
    const { resource, accepted } = this.#options;
    const meta = { apiVersion: metaApiVersion(accepted.metaVersion) };
    const type = { kind: resource.kind, apiVersion: apiVersionOf(resource) };
    const resourceVersion = String(revision);
    const metadata: JsonObject = {
      resourceVersion,
      creationTimestamp: null,
      ...(options.endsInitialEvents
        ? { annotations: { [initialEventsEnd]: 'true', [emptyListAnnotation]: this.#emptyList() } }
        : {}),
    };
    switch (accepted.form) {
      case 'object':
        return this.#frame('BOOKMARK', { ...type, metadata });
      case 'metadata':
        return this.#frame('BOOKMARK', { kind: 'PartialObjectMetadata', ...meta, metadata });
      case 'table':
        return this.#frame('BOOKMARK', {
          kind: 'Table',
          ...meta,
          metadata: { resourceVersion },
          columnDefinitions: [],
          rows: [{ cells: resource.columns.map(() => ''), object: { ...type, metadata } }],
        });
    }
  }
  /** An empty list of the objects as this watch shows them, in base64. */
  #emptyList(): string {
    const { resource, accepted } = this.#options;
    const isMetadata = accepted.form === 'metadata';
    const list: JsonObject = {
      kind: isMetadata ? 'PartialObjectMetadataList' : `${resource.kind}List`,
      apiVersion: isMetadata ? metaApiVersion(accepted.metaVersion) : apiVersionOf(resource),
      metadata: {},
      // Go's lists of built-in kinds are null before there is anything in them.
      items: isMetadata || resource.isCustom ? [] : null,
    };
    const bytes =
      accepted.serializer === 'protobuf'
        ? encodeProtobufObject(list)
        : Buffer.from(`${JSON.stringify(list)}\n`);
    return bytes.toString('base64');
  }

  #frame(type: WatchEventType, object: JsonObject): Buffer {
    return this.#options.accepted.serializer === 'protobuf'
      ? encodeWatchEvent(type, encodeProtobufObject(object))
      : Buffer.from(`${JSON.stringify({ type, object })}\n`);
  }
}
