import { EventEmitter, once } from 'node:events';
import { type FileHandle, mkdir, open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Readable } from 'node:stream';

export type LogStream = 'stdout' | 'stderr';

/** Kubelet's defaults are 10Mi and 5 files; one rotated file is enough on a laptop. */
const fileMaxBytes = 10 * 1024 * 1024;
/** A longer line is split into partial entries (tag P), as the CRI log format has it. */
const lineMaxBytes = 16 * 1024;

/**
 * The log of one container instance, in the CRI format
 * (`<RFC 3339 time> stdout|stderr F|P <text>`), bounded by rotation to
 * `<path>.1`. Emits `append` after every write and `end` when both streams ended.
 */
export class LogFile extends EventEmitter<{ append: []; end: [] }> {
  readonly path: string;
  #handle: FileHandle | undefined;
  #sizeBytes = 0;
  #queue: Promise<void> = Promise.resolve();
  #openStreams = 0;
  #hasEnded = false;

  private constructor(path: string) {
    super();
    this.setMaxListeners(0); // one per follower; followers are bounded by the API server's connections
    this.path = path;
  }

  static async create(path: string): Promise<LogFile> {
    await mkdir(dirname(path), { recursive: true });
    const log = new LogFile(path);
    log.#handle = await open(path, 'a', 0o640);
    return log;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Resolves when both streams have ended and everything is written. */
  async ended(): Promise<void> {
    if (!this.#hasEnded) await once(this, 'end');
  }

  /** Copies a stream into the log until it ends; a slow disk slows the container down, not memory up. */
  consume(stream: LogStream, source: Readable): void {
    this.#openStreams += 1;
    void this.#pump(stream, source).finally(() => {
      this.#openStreams -= 1;
      if (this.#openStreams === 0) void this.#finish();
    });
  }

  async #pump(stream: LogStream, source: Readable): Promise<void> {
    let rest: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of source as AsyncIterable<Buffer>) {
        const { entries, remainder } = splitEntries(
          rest.length === 0 ? chunk : Buffer.concat([rest, chunk]),
          stream,
        );
        rest = remainder;
        if (entries.length > 0) await this.#write(Buffer.concat(entries));
      }
    } catch {
      // The pipe broke with its process; what arrived before is kept.
    }
    // A last line without an end is a part, as container runtimes have it: readers add no end either.
    if (rest.length > 0) await this.#write(entry(stream, 'P', rest));
  }

  #write(data: Buffer): Promise<void> {
    this.#queue = this.#queue.then(async () => {
      if (this.#sizeBytes > 0 && this.#sizeBytes + data.length > fileMaxBytes) await this.#rotate();
      await this.#handle?.write(data);
      this.#sizeBytes += data.length;
      this.emit('append');
    });
    return this.#queue;
  }

  async #rotate(): Promise<void> {
    await this.#handle?.close();
    await rename(this.path, `${this.path}.1`);
    this.#handle = await open(this.path, 'a', 0o640);
    this.#sizeBytes = 0;
  }

  async #finish(): Promise<void> {
    await this.#queue.catch(() => undefined); // a full disk lost lines; the end must still be seen
    this.#hasEnded = true;
    await this.#handle?.close();
    this.#handle = undefined;
    this.emit('end');
  }
}

/** Cuts a buffer into finished log entries and what is left of the last line. */
export function splitEntries(data: Buffer, stream: LogStream): { entries: Buffer[]; remainder: Buffer } {
  const entries: Buffer[] = [];
  let start = 0;
  while (start < data.length) {
    const newline = data.indexOf(0x0a, start);
    const end = newline < 0 ? data.length : newline;
    if (end - start > lineMaxBytes) {
      entries.push(entry(stream, 'P', data.subarray(start, start + lineMaxBytes)));
      start += lineMaxBytes;
    } else if (newline < 0) break;
    else {
      entries.push(entry(stream, 'F', data.subarray(start, end)));
      start = end + 1;
    }
  }
  return { entries, remainder: Buffer.from(data.subarray(start)) };
}

function entry(stream: LogStream, tag: 'F' | 'P', text: Buffer): Buffer {
  // Kubernetes writes nanoseconds; the machine's clock gives Node milliseconds.
  const time = new Date().toISOString().replace('Z', '000000Z');
  return Buffer.concat([Buffer.from(`${time} ${stream} ${tag} `), text, Buffer.from('\n')]);
}
