import { create, fromBinary, type JsonObject, toBinary } from '@bufbuild/protobuf';
import { Client, type ClientDuplexStream, type ServiceError, status } from '@grpc/grpc-js';
import { messageOf } from '#base/errors/mesh-error.js';
import { pause } from '#base/system/until.js';
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
} from '../gen/envoy/discovery_pb.js';
import { deltaXdsPath } from '../type-urls.js';
import {
  callMetadata,
  channelCredentials,
  channelOptions,
  channelTarget,
  type ControlPlaneEndpoint,
} from './endpoint.js';

/** One resource of a push. */
export interface XdsResource {
  readonly name: string;
  readonly version: string;
  /** The encoded message inside the Any. */
  readonly value: Uint8Array;
}

/** Receives the resources of one type. */
export interface ResourceHandler {
  readonly typeUrl: string;
  /** Adds or replaces. Throwing rejects this resource only (partial NACK); the message is sent to the server. */
  upsert(resource: XdsResource): void;
  remove(name: string): void;
  /** True: a server may not know the type; nobody waits for its first push. */
  readonly isOptional?: boolean;
  /** A push was applied completely. */
  pushed?(): void;
}

/** Why a stream ended, as labeled by `istio_xds_connection_terminations_total`. */
export type TerminationReason = 'ConnectionError' | 'Error' | 'Reconnect' | 'Complete';

/** What happens on the stream, for logs and metrics. */
export interface XdsEvents {
  connected?(): void;
  disconnected?(event: { reason: TerminationReason; error: string | undefined; retryMs: number }): void;
  message?(event: { typeUrl: string; resourceCount: number; removedCount: number; bytes: number }): void;
  rejected?(event: { typeUrl: string; detail: string }): void;
}

export interface DeltaClientOptions {
  readonly endpoint: ControlPlaneEndpoint;
  readonly node: { readonly id: string; readonly metadata: JsonObject };
  /** Subscribed to in this order, each with a wildcard. */
  readonly handlers: readonly ResourceHandler[];
  readonly events?: XdsEvents;
}

const connectTimeoutMs = 5_000;
const backoffFirstMs = 10;
const backoffMaxMs = 15_000;
/** A detail text longer than this tells nobody more. */
const nackDetailMaxChars = 4_096;

interface TypeState {
  readonly handler: ResourceHandler;
  /** Name to version of everything accepted; sent on reconnect so that the server skips what we have. */
  readonly versions: Map<string, string>;
  isSynced: boolean;
}

/**
 * Client of the Workload API: one delta xDS stream, wildcard subscriptions, reconnecting for ever until aborted.
 * What was received stays in force while the server is away.
 */
export class DeltaClient {
  readonly #options: DeltaClientOptions;

  readonly #types = new Map<string, TypeState>();
  readonly #syncWaiters = new Set<() => void>();
  #isConnectedNow = false;

  constructor(options: DeltaClientOptions) {
    this.#options = options;

    for (const handler of options.handlers) {
      this.#types.set(handler.typeUrl, { handler, versions: new Map(), isSynced: false });
    }
  }

  /** Whether a stream is open right now. */
  get isConnected(): boolean {
    return this.#isConnectedNow;
  }

  /** Whether every type that is not optional was received and answered at least once. */
  get isSynced(): boolean {
    return [...this.#types.values()].every(
      ({ handler, isSynced }) => isSynced || handler.isOptional === true,
    );
  }

  /** Resolves once every type was received; rejects when aborted. */
  synced(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        this.#syncWaiters.delete(done);
        reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
      };
      const done = (): void => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      if (signal.aborted) abort();
      else if (this.isSynced) resolve();
      else {
        signal.addEventListener('abort', abort, { once: true });
        this.#syncWaiters.add(done);
      }
    });
  }

  /** Connects and reconnects until the signal aborts, then resolves. */
  async run(signal: AbortSignal): Promise<void> {
    let backoffMs = backoffFirstMs;
    while (!signal.aborted) {
      const end = await this.#stream(signal);
      if (signal.aborted) return;
      const retryMs = end.isImmediate ? backoffFirstMs : backoffMs;
      backoffMs = end.isImmediate ? backoffFirstMs : Math.min(backoffMs * 2, backoffMaxMs);
      this.#options.events?.disconnected?.({ reason: end.reason, error: end.error, retryMs });
      await pause(retryMs, signal);
    }
  }

  async #stream(signal: AbortSignal): Promise<StreamEnd> {
    let client: Client | undefined;
    try {
      const { endpoint } = this.#options;
      const metadata = await callMetadata(endpoint);
      client = new Client(channelTarget(endpoint.address), channelCredentials(endpoint), channelOptions);
      await ready(client, signal);
      const call = client.makeBidiStreamRequest<DeltaDiscoveryRequest, DeltaDiscoveryResponse>(
        deltaXdsPath,
        (request) => Buffer.from(toBinary(DeltaDiscoveryRequestSchema, request)),
        (bytes) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
        metadata,
      );
      return await this.#converse(call, signal);
    } catch (error) {
      return { reason: 'ConnectionError', error: messageOf(error), isImmediate: false };
    } finally {
      this.#isConnectedNow = false;
      client?.close();
    }
  }

  #converse(call: Call, signal: AbortSignal): Promise<StreamEnd> {
    return new Promise((resolve) => {
      const cancel = (): void => call.cancel();
      const finish = (end: StreamEnd): void => {
        signal.removeEventListener('abort', cancel);
        resolve(end);
      };
      if (signal.aborted) cancel();
      signal.addEventListener('abort', cancel, { once: true });
      call.on('error', (error: ServiceError) => finish(classify(error)));
      call.on('end', () => finish({ reason: 'Complete', error: undefined, isImmediate: true }));
      call.on('data', (response: DeltaDiscoveryResponse) => {
        const ack = this.#receive(response);
        if (ack !== undefined) call.write(ack);
      });
      for (const { handler, versions } of this.#types.values()) {
        call.write(
          create(DeltaDiscoveryRequestSchema, {
            node: this.#options.node,
            typeUrl: handler.typeUrl,
            initialResourceVersions: Object.fromEntries(versions),
          }),
        );
      }
    });
  }

  #receive(response: DeltaDiscoveryResponse): DeltaDiscoveryRequest | undefined {
    if (!this.#isConnectedNow) {
      this.#isConnectedNow = true;
      this.#options.events?.connected?.();
    }
    const type = this.#types.get(response.typeUrl);
    if (type === undefined) return undefined;
    const problems = this.#apply(type, response);
    const message = problems.join('; ').slice(0, nackDetailMaxChars);
    const isRejected = problems.length > 0;
    if (isRejected) this.#options.events?.rejected?.({ typeUrl: response.typeUrl, detail: message });
    const ack = create(DeltaDiscoveryRequestSchema, {
      typeUrl: response.typeUrl,
      responseNonce: response.nonce,
      ...(isRejected ? { errorDetail: { code: 0, message } } : {}),
    });
    type.isSynced = true;
    if (this.isSynced) {
      for (const waiter of this.#syncWaiters) waiter();
      this.#syncWaiters.clear();
    }
    return ack;
  }

  /** Applies a push; returns `name: reason` of every resource that was refused. */
  #apply(type: TypeState, response: DeltaDiscoveryResponse): string[] {
    const problems: string[] = [];
    let bytes = 0;
    for (const { name, version, resource } of response.resources) {
      const value = resource?.value ?? new Uint8Array();
      bytes += value.length;
      try {
        type.handler.upsert({ name, version, value });
        type.versions.set(name, version);
      } catch (error) {
        problems.push(`${name}: ${messageOf(error)}`);
      }
    }
    for (const name of response.removedResources) {
      type.handler.remove(name);
      type.versions.delete(name);
    }
    type.handler.pushed?.();
    this.#options.events?.message?.({
      typeUrl: response.typeUrl,
      resourceCount: response.resources.length,
      removedCount: response.removedResources.length,
      bytes,
    });
    return problems;
  }
}

type Call = ClientDuplexStream<DeltaDiscoveryRequest, DeltaDiscoveryResponse>;

interface StreamEnd {
  readonly reason: TerminationReason;
  readonly error: string | undefined;
  /** The server is fine and only moved on (restart, connection age): come back at once. */
  readonly isImmediate: boolean;
}

function classify(error: ServiceError): StreamEnd {
  const text = error.details || error.message;
  const isRoutine =
    error.code === status.UNKNOWN ||
    error.code === status.CANCELLED ||
    error.code === status.DEADLINE_EXCEEDED ||
    (error.code === status.UNAVAILABLE && /transport is closing|received prior goaway/.test(text));
  return { reason: isRoutine ? 'Reconnect' : 'Error', error: text, isImmediate: isRoutine };
}

function ready(client: Client, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new Error('aborted'));
    signal.addEventListener('abort', abort, { once: true });
    client.waitForReady(Date.now() + connectTimeoutMs, (error) => {
      signal.removeEventListener('abort', abort);
      if (error === undefined || error === null) resolve();
      else reject(new Error(`control plane not reachable: ${error.message}`, { cause: error }));
    });
  });
}
