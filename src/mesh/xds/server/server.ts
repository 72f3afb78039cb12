import { fromBinary } from '@bufbuild/protobuf';
import {
  status,
  type handleBidiStreamingCall,
  type ServerDuplexStream,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { DeltaDiscoveryRequestSchema, type DeltaDiscoveryRequest } from '../gen/envoy/discovery_pb.js';
import { deltaXdsPath } from '../type-urls.js';
import { Connection, type ConnectionEvents, type DeltaStream } from './connection.js';
import { CompleteStates, Push } from './push.js';
import type { ChangedNames, ResourceSource, Subscriber } from './source.js';
import { WriteBudget } from './write-budget.js';

/** A refusal to be told to the client; everything else is reported as an internal error. */
export class StreamRefused extends Error {
  /** gRPC status code. */
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

type Stream = ServerDuplexStream<DeltaDiscoveryRequest, Buffer>;

/** Most streams open at a time; a node has one proxy and a cluster a few thousand nodes. */
export const maxConnections = 20_000;

export interface DeltaXdsServerDeps {
  /** In push order. */
  readonly sources: readonly ResourceSource[];
  readonly events: ConnectionEvents;
  /** False until the first complete state exists; streams are refused until then. */
  readonly isReady: () => boolean;
  readonly currentVersion: () => string;
  readonly now: () => number;
}

/** Decides about a new stream from its first request; throws StreamRefused to end it. */
export type AdmitStream = (call: Stream, subscriber: Subscriber) => Promise<void>;

/** A live stream as diagnostics show it. */
export interface ConnectionRecord {
  readonly id: number;
  readonly peer: string;
  readonly connectedAtMs: number;
  readonly connection: Connection;
}

/**
 * Delta xDS over gRPC: one Connection per stream, pushes fanned out to all of them. The service can
 * be added to several gRPC servers (plaintext and TLS) with different admission rules.
 */
export class DeltaXdsServer {
  readonly #deps: DeltaXdsServerDeps;
  readonly #shared: { readonly complete: CompleteStates; readonly budget: WriteBudget };
  readonly #records = new Map<number, ConnectionRecord>();
  readonly #streams = new Map<number, Stream>();
  #idCount = 0;

  constructor(deps: DeltaXdsServerDeps) {
    this.#deps = deps;
    this.#shared = { complete: new CompleteStates(deps.currentVersion), budget: new WriteBudget() };
  }

  /** Live streams whose first request was admitted. */
  get connections(): readonly ConnectionRecord[] {
    return [...this.#records.values()];
  }

  /** Announces changed names to every stream. */
  push(changed: ChangedNames): void {
    const push = new Push(changed);
    for (const record of this.#records.values()) record.connection.push(push);
  }

  /** Ends every stream, telling clients to reconnect elsewhere. */
  close(): void {
    for (const stream of this.#streams.values()) {
      endWith(stream, new StreamRefused(status.UNAVAILABLE, 'the controller is shutting down'));
    }
  }

  /** Definition and implementation to hand to `grpc.Server.addService`. */
  service(admit: AdmitStream): {
    readonly definition: ServiceDefinition;
    readonly implementation: UntypedServiceImplementation;
  } {
    const handler: handleBidiStreamingCall<DeltaDiscoveryRequest, Buffer> = (call) =>
      this.#accept(call, admit);
    return { definition: deltaServiceDefinition, implementation: { deltaAggregatedResources: handler } };
  }

  #accept(call: Stream, admit: AdmitStream): void {
    this.#idCount += 1;
    const id = this.#idCount;
    let connection: Connection | undefined;
    const release = () => {
      connection?.close();
      this.#records.delete(id);
      this.#streams.delete(id);
    };
    call.on('error', release);
    call.on('close', release);
    call.on('cancelled', release);
    call.on('end', () => {
      release();
      call.end();
    });
    if (!this.#deps.isReady()) {
      endWith(call, new StreamRefused(status.UNAVAILABLE, 'the controller has not read the cluster yet'));
      return;
    }
    if (this.#streams.size >= maxConnections) {
      endWith(call, new StreamRefused(status.RESOURCE_EXHAUSTED, 'too many streams'));
      return;
    }
    this.#streams.set(id, call);
    const early: DeltaDiscoveryRequest[] = [];
    let isFirst = true;
    call.on('data', (request: DeltaDiscoveryRequest) => {
      if (connection !== undefined) {
        connection.receive(request);
        return;
      }
      early.push(request);
      if (!isFirst) return;
      isFirst = false;
      // Nothing more is read before the caller is known, so `early` stays small.
      call.pause();
      this.#open({ id, call, first: request, admit })
        .then((opened) => {
          connection = opened;
          if (call.cancelled || call.destroyed) {
            release();
            return;
          }
          for (const waiting of early) opened.receive(waiting);
          call.resume();
        })
        .catch((error: unknown) => {
          release();
          endWith(call, error);
        });
    });
  }

  async #open(input: {
    readonly id: number;
    readonly call: Stream;
    readonly first: DeltaDiscoveryRequest;
    readonly admit: AdmitStream;
  }): Promise<Connection> {
    const { id, call, first, admit } = input;
    const subscriber = readSubscriber(first);
    if (subscriber === undefined)
      throw new StreamRefused(status.INVALID_ARGUMENT, 'the first request names no node');
    await admit(call, subscriber);
    const connection = new Connection({
      ...this.#deps,
      subscriber,
      stream: deltaStream(call),
      shared: this.#shared,
    });
    this.#records.set(id, { id, peer: call.getPeer(), connectedAtMs: this.#deps.now(), connection });
    return connection;
  }
}

const deltaServiceDefinition: ServiceDefinition = {
  deltaAggregatedResources: {
    path: deltaXdsPath,
    requestStream: true,
    responseStream: true,
    requestSerialize: () => {
      throw new Error('the server sends no requests');
    },
    requestDeserialize: (bytes: Buffer): DeltaDiscoveryRequest =>
      fromBinary(DeltaDiscoveryRequestSchema, bytes),
    responseSerialize: (bytes: Buffer): Buffer => bytes,
    responseDeserialize: (bytes: Buffer): Buffer => bytes,
  },
};

function readSubscriber(request: DeltaDiscoveryRequest): Subscriber | undefined {
  const nodeId = request.node?.id ?? '';
  if (nodeId === '') return undefined;
  const metadata: Record<string, string> = {};
  for (const [key, value] of Object.entries(request.node?.metadata ?? {})) {
    if (typeof value === 'string') metadata[key] = value;
  }
  return { nodeId, proxyType: nodeId.split('~', 1)[0] ?? '', metadata };
}

/** Adapts a gRPC call: a write resolves when the transport's buffer has room again. */
function deltaStream(call: Stream): DeltaStream {
  return {
    write: (bytes) =>
      new Promise((resolve, reject) => {
        if (call.cancelled || call.destroyed || call.writableEnded) {
          reject(new Error('the stream is closed'));
          return;
        }
        if (call.write(bytes)) {
          resolve();
          return;
        }
        const settle = (finish: () => void) => {
          call.off('drain', onDrain);
          call.off('close', onGone);
          call.off('cancelled', onGone);
          finish();
        };
        const onDrain = () => settle(resolve);
        const onGone = () => settle(() => reject(new Error('the stream closed while writing')));
        call.once('drain', onDrain);
        call.once('close', onGone);
        call.once('cancelled', onGone);
      }),
    setReading: (isReading) => {
      if (isReading) call.resume();
      else call.pause();
    },
    fail: (reason, message) =>
      endWith(
        call,
        new StreamRefused(reason === 'overloaded' ? status.RESOURCE_EXHAUSTED : status.INTERNAL, message),
      ),
  };
}

function endWith(call: Stream, error: unknown): void {
  const isKnown = error instanceof StreamRefused;
  // grpc-js turns an emitted error with `code` and `details` into the call's final status.
  call.emit('error', {
    code: isKnown ? error.code : status.INTERNAL,
    details: isKnown ? error.message : 'internal error',
  });
}
