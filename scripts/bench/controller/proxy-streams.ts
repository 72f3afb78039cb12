import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { create, toBinary } from '@bufbuild/protobuf';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { DeltaDiscoveryRequestSchema } from '#mesh/xds/gen/envoy/discovery_pb.js';
import { addressType, authorizationType, deltaXdsPath } from '#mesh/xds/type-urls.js';
import { proxyToken } from './stand-in-api.js';

/** Bytes a proxy lets the controller send ahead. */
const windowBytes = 4 * 1024 * 1024;
/** Of larger responses nobody reads the names: they are complete states. */
const readableBytes = 256 * 1024;

/** A change that not every proxy acknowledged yet. */
interface Awaited {
  readonly sinceMs: number;
  missing: number;
}

/**
 * Node proxies as the controller sees them: a TLS connection and a delta stream each, everything subscribed to and
 * acknowledged, nothing kept. They read no more of a response than they must: the machine is the controller's.
 */
export class ProxyStreams {
  readonly #sessions: ClientHttp2Session[] = [];
  readonly #awaited = new Map<string, Awaited>();
  readonly #latenciesMs: number[] = [];
  #receivedBytes = 0;
  #failure: Error | undefined;

  /** Times from change to last acknowledgement, in milliseconds, in the order in which they ended. */
  get latenciesMs(): readonly number[] {
    return this.#latenciesMs;
  }

  /** Changes that some proxy has not acknowledged. */
  get awaitedCount(): number {
    return this.#awaited.size;
  }

  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** Opens streams to the controller; resolves when each has acknowledged its first addresses. */
  async open(o: { readonly port: number; readonly rootPem: string; readonly count: number }): Promise<void> {
    await Promise.all(Array.from({ length: o.count }, (_, index) => this.#openOne(o, index)));
  }

  /** Waits for every proxy to acknowledge a resource that changes now. */
  await(name: string): void {
    this.#awaited.set(name, { sinceMs: performance.now(), missing: this.#sessions.length });
  }

  /** Throws what went wrong with any stream. */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  close(): void {
    for (const session of this.#sessions) session.destroy();
  }

  #openOne(o: { readonly port: number; readonly rootPem: string }, index: number): Promise<void> {
    const session = connect(`https://127.0.0.1:${o.port}`, {
      ca: o.rootPem,
      servername: 'istiod.istio-system.svc',
      settings: { initialWindowSize: windowBytes },
    });
    this.#sessions.push(session);
    session.on('connect', () => session.setLocalWindowSize(windowBytes));
    const stream = session.request({
      ':method': 'POST',
      ':path': deltaXdsPath,
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${proxyToken}`,
    });
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        if (session.destroyed && this.#failure === undefined) return;
        this.#failure ??= error;
        reject(error);
      };
      session.on('error', fail);
      stream.on('error', fail);
      stream.on('trailers', (trailers) => fail(new Error(`stream ended: ${JSON.stringify(trailers)}`)));
      readMessages(stream, (chunks, sizeBytes) => {
        this.#receivedBytes += sizeBytes;
        const { typeUrl, nonce } = this.#read(chunks, sizeBytes);
        stream.write(framed({ typeUrl, responseNonce: nonce }));
        if (typeUrl === addressType) resolve();
      });
      const node = { id: `ztunnel~10.0.0.1~ztunnel-${index}.istio-system~cluster.local`, metadata: {} };
      stream.write(framed({ typeUrl: addressType, node }));
      stream.write(framed({ typeUrl: authorizationType }));
    });
  }

  /** Type and nonce, which come first; and, of a response that is no complete state, the names. */
  #read(chunks: readonly Buffer[], sizeBytes: number): { typeUrl: string; nonce: string } {
    const isReadable = sizeBytes <= readableBytes;
    const reader = new BinaryReader(isReadable ? Buffer.concat(chunks) : (chunks[0] as Buffer));
    const head = { typeUrl: '', nonce: '' };
    while (reader.pos < reader.len && (isReadable || head.nonce === '')) {
      const [field, wireType] = reader.tag();
      if (field === 4) head.typeUrl = reader.string();
      else if (field === 5) head.nonce = reader.string();
      else if (field === 6) this.#acknowledged(reader.string());
      else if (field === 2) this.#acknowledged(nameOf(reader.bytes()));
      else reader.skip(wireType);
    }
    return head;
  }

  #acknowledged(name: string): void {
    const awaited = this.#awaited.get(name);
    if (awaited === undefined) return;
    awaited.missing -= 1;
    if (awaited.missing > 0) return;
    this.#awaited.delete(name);
    this.#latenciesMs.push(performance.now() - awaited.sinceMs);
  }
}

/** Name of an encoded envoy.service.discovery.v3.Resource. */
function nameOf(resource: Uint8Array): string {
  const reader = new BinaryReader(resource);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === 3 && wireType === WireType.LengthDelimited) return reader.string();
    reader.skip(wireType);
  }
  return '';
}

function framed(fields: {
  readonly typeUrl: string;
  readonly responseNonce?: string;
  readonly node?: { readonly id: string; readonly metadata: object };
}): Buffer {
  const message = toBinary(
    DeltaDiscoveryRequestSchema,
    create(DeltaDiscoveryRequestSchema, fields as object),
  );
  const frame = Buffer.alloc(5 + message.length);
  frame.writeUInt32BE(message.length, 1);
  frame.set(message, 5);
  return frame;
}

/** Cuts a stream into gRPC messages; each comes in the pieces it arrived in. */
function readMessages(
  stream: ClientHttp2Stream,
  take: (chunks: readonly Buffer[], sizeBytes: number) => void,
): void {
  let head = Buffer.alloc(0);
  let chunks: Buffer[] = [];
  let missing = 0;
  let sizeBytes = 0;
  stream.on('data', (received: Buffer) => {
    let rest = received;
    while (rest.length > 0) {
      if (missing === 0) {
        const wanted = 5 - head.length;
        head = Buffer.concat([head, rest.subarray(0, wanted)]);
        rest = rest.subarray(wanted);
        if (head.length < 5) return;
        missing = head.readUInt32BE(1);
        sizeBytes = missing;
        head = Buffer.alloc(0);
      }
      const part = rest.subarray(0, missing);
      if (part.length > 0) chunks.push(part);
      missing -= part.length;
      rest = rest.subarray(part.length);
      if (missing > 0) return;
      take(chunks, sizeBytes);
      chunks = [];
    }
  });
}
