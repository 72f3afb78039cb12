import { Duplex } from 'node:stream';
import { SpdyHeaders } from './spdy-headers.js';

const frameTypes = {
  synStream: 1,
  synReply: 2,
  rstStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  headers: 8,
  windowUpdate: 9,
} as const;
const flagFin = 1;
const rstProtocolError = 1;
const rstCancel = 5;
const frameMaxBytes = 4 * 1024 * 1024;
const dataMaxBytes = 64 * 1024;
const streamsMax = 10_000;

/** One stream of a connection. */
export class SpdyStream extends Duplex {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly #connection: SpdyConnection;

  constructor(connection: SpdyConnection, id: number, headers: ReadonlyMap<string, string>) {
    super({ allowHalfOpen: true });
    this.#connection = connection;
    this.id = id;
    this.headers = headers;
  }

  override _read(): void {
    this.#connection.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    this.#connection.sendData(this.id, chunk, 0, callback);
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#connection.sendData(this.id, Buffer.alloc(0), flagFin, callback);
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#connection.forget(this.id, !this.writableFinished);
    callback(error);
  }
}

/**
 * The server side of the part of SPDY/3.1 that Kubernetes clients use:
 * streams opened by the client, data both ways, pings. Flow control windows
 * are not enforced, as in every Kubernetes peer; back-pressure comes from the
 * connection below.
 */
export class SpdyConnection {
  readonly #socket: Duplex;
  readonly #headers = new SpdyHeaders();
  readonly #streams = new Map<number, SpdyStream>();
  readonly #onStream: (stream: SpdyStream) => void;
  #buffer: Buffer = Buffer.alloc(0);
  #wake: (() => void) | undefined;

  constructor(socket: Duplex, onStream: (stream: SpdyStream) => void) {
    this.#socket = socket;
    this.#onStream = onStream;
  }

  /** Reads frames until the connection ends. Rejects when the peer breaks the protocol. */
  async run(): Promise<void> {
    try {
      for await (const chunk of this.#socket as AsyncIterable<Buffer>) {
        this.#buffer = this.#buffer.length === 0 ? chunk : Buffer.concat([this.#buffer, chunk]);
        await this.#drain();
      }
    } finally {
      for (const stream of this.#streams.values()) stream.destroy();
      this.#streams.clear();
      this.#headers.close();
      this.#socket.destroy();
    }
  }

  /** A stream was read: go on if the connection waits for that. */
  resume(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  sendData(id: number, chunk: Buffer, flags: number, callback: (error?: Error | null) => void): void {
    if (this.#socket.destroyed || !this.#streams.has(id)) return callback();
    let at = 0;
    do {
      const part = chunk.subarray(at, at + dataMaxBytes);
      at += dataMaxBytes;
      const isLast = at >= chunk.length;
      const head = Buffer.alloc(8);
      head.writeUInt32BE(id, 0);
      head.writeUInt32BE(part.length, 4);
      head[4] = isLast ? flags : 0;
      const frame = Buffer.concat([head, part]);
      if (isLast) this.#socket.write(frame, (error) => callback(error));
      else this.#socket.write(frame);
    } while (at < chunk.length);
  }

  forget(id: number, isAborted: boolean): void {
    if (!this.#streams.delete(id) || !isAborted || this.#socket.destroyed) return;
    this.#reset(id, rstCancel);
  }

  #reset(id: number, status: number): void {
    const body = Buffer.alloc(8);
    body.writeUInt32BE(id, 0);
    body.writeUInt32BE(status, 4);
    this.#control(frameTypes.rstStream, 0, body);
  }

  #control(type: number, flags: number, body: Buffer): void {
    const head = Buffer.alloc(8);
    head.writeUInt16BE(0x8003, 0);
    head.writeUInt16BE(type, 2);
    head.writeUInt32BE(body.length, 4);
    head[4] = flags;
    this.#socket.write(Buffer.concat([head, body]));
  }

  async #drain(): Promise<void> {
    while (this.#buffer.length >= 8) {
      const length = this.#buffer.readUIntBE(5, 3);
      if (length > frameMaxBytes) throw new Error(`SPDY frame of ${length} bytes`);
      if (this.#buffer.length < 8 + length) return;
      const head = this.#buffer.subarray(0, 8);
      const body = this.#buffer.subarray(8, 8 + length);
      this.#buffer = this.#buffer.subarray(8 + length);
      const flags = head[4] ?? 0;
      if (((head[0] ?? 0) & 0x80) === 0) await this.#onData(head.readUInt32BE(0), flags, body);
      else await this.#onControl(head.readUInt16BE(2), flags, body);
    }
  }

  async #onData(id: number, flags: number, body: Buffer): Promise<void> {
    const stream = this.#streams.get(id);
    if (stream === undefined) return;
    if (body.length > 0 && !stream.push(Buffer.from(body))) {
      // One slow stream holds up the connection: bounded memory is worth more than fairness here.
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        stream.once('close', resolve);
      });
    }
    if ((flags & flagFin) !== 0) stream.push(null);
  }

  async #onControl(type: number, flags: number, body: Buffer): Promise<void> {
    switch (type) {
      case frameTypes.synStream: {
        const id = body.readUInt32BE(0) & 0x7fffffff;
        const headers = await this.#headers.decode(Buffer.from(body.subarray(10)));
        if (this.#streams.has(id) || this.#streams.size >= streamsMax)
          return this.#reset(id, rstProtocolError);
        const stream = new SpdyStream(this, id, headers);
        stream.on('error', () => stream.destroy());
        this.#streams.set(id, stream);
        const reply = Buffer.alloc(4);
        reply.writeUInt32BE(id);
        this.#control(frameTypes.synReply, 0, Buffer.concat([reply, await this.#headers.encode(new Map())]));
        if ((flags & flagFin) !== 0) stream.push(null);
        this.#onStream(stream);
        return;
      }
      case frameTypes.headers:
        // Decoded for the shared compression state; nothing here uses late headers.
        await this.#headers.decode(Buffer.from(body.subarray(4)));
        return;
      case frameTypes.rstStream:
        this.#streams.get(body.readUInt32BE(0) & 0x7fffffff)?.destroy();
        return;
      case frameTypes.ping:
        this.#control(frameTypes.ping, 0, Buffer.from(body));
        return;
      default:
        // Settings, window updates and goaway need no answer.
        return;
    }
  }
}
