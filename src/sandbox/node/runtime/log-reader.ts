import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { PassThrough, type Writable } from 'node:stream';
import type { LogFile } from './log-file.js';

export interface LogReadOptions {
  readonly follow: boolean;
  readonly tailLines?: number | undefined;
  /** Entries before this instant are left out. */
  readonly since?: Date | undefined;
  readonly timestamps?: boolean | undefined;
  readonly limitBytes?: number | undefined;
}

const chunkBytes = 64 * 1024;
/** The file can be replaced between two looks; a follower looks again at least this often. */
const followPollMs = 1_000;

/**
 * Writes a container's log to `sink`, plain or with timestamps, respecting its
 * back-pressure; with `follow`, until the container's streams end or the signal aborts.
 */
export async function readLog(
  source: { path: string; live: LogFile | undefined },
  options: LogReadOptions,
  { sink, signal }: { sink: Writable; signal: AbortSignal },
): Promise<void> {
  const writer = new EntryWriter(sink, options, signal);
  const rotated = `${source.path}.1`;
  const older = existsSync(rotated) ? await readFile(rotated) : Buffer.alloc(0);
  const handle = await open(source.path, 'r');
  const { size } = await handle.stat();
  const newer = Buffer.alloc(size);
  await handle.read(newer, 0, size, 0);
  const existing = selectTail(Buffer.concat([older, newer]), options);
  const rest = await writer.write(existing);
  if (!options.follow || source.live === undefined || writer.isFull) {
    await handle.close();
    return;
  }
  await follow({ path: source.path, live: source.live, handle, offset: size, rest }, writer, signal);
}

/** The end of a finished log as text. */
export async function logTail(
  path: string,
  { maxLines, maxBytes }: { maxLines: number; maxBytes: number },
): Promise<string> {
  const sink = new PassThrough();
  const chunks: Buffer[] = [];
  sink.on('data', (chunk: Buffer) => chunks.push(chunk));
  const signal = new AbortController().signal;
  await readLog({ path, live: undefined }, { follow: false, tailLines: maxLines }, { sink, signal });
  sink.end();
  await once(sink, 'end');
  return Buffer.concat(chunks).subarray(-maxBytes).toString('utf8');
}

async function follow(
  state: { path: string; live: LogFile; handle: FileHandle; offset: number; rest: Buffer },
  writer: EntryWriter,
  signal: AbortSignal,
): Promise<void> {
  let { handle, offset, rest } = state;
  const buffer = Buffer.alloc(chunkBytes);
  try {
    while (!signal.aborted && !writer.isFull) {
      // Looked at before reading: data written between the two is then read in the next round.
      const hadEnded = state.live.hasEnded;
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes, offset);
      if (bytesRead > 0) {
        offset += bytesRead;
        rest = await writer.write(Buffer.concat([rest, buffer.subarray(0, bytesRead)]));
        continue;
      }
      if (await wasRotated(state.path, handle)) {
        await handle.close();
        handle = await open(state.path, 'r');
        offset = 0;
        continue;
      }
      if (hadEnded) return;
      await nextChange(state.live, signal);
    }
  } finally {
    await handle.close();
  }
}

async function nextChange(live: LogFile, signal: AbortSignal): Promise<void> {
  const wake = AbortSignal.any([signal, AbortSignal.timeout(followPollMs)]);
  await Promise.race([once(live, 'append', { signal: wake }), once(live, 'end', { signal: wake })]).catch(
    () => undefined,
  ); // aborted: the caller looks at its own signal
}

async function wasRotated(path: string, handle: FileHandle): Promise<boolean> {
  const [named, opened] = await Promise.all([stat(path).catch(() => undefined), handle.stat()]);
  return named !== undefined && named.ino !== opened.ino;
}

/** The part of a finished log that `since` and `tailLines` leave. */
function selectTail(data: Buffer, options: LogReadOptions): Buffer {
  let start = 0;
  if (options.since !== undefined) {
    const since = options.since.getTime();
    while (start < data.length && entryTime(data, start) < since) start = nextLine(data, start);
  }
  if (options.tailLines === undefined) return data.subarray(start);
  let position = data.length;
  let wanted = options.tailLines;
  while (position > start && wanted >= 0) {
    const newline = position - 2 < start ? -1 : data.lastIndexOf(0x0a, position - 2);
    const lineStart = newline < start ? start : newline + 1;
    // A partial entry belongs to the line that its final entry ends; the last line may have none.
    const isFinal = data.subarray(lineStart, lineStart + 48).includes(' F ');
    if (isFinal || position === data.length) wanted -= 1;
    if (wanted < 0) break;
    position = lineStart;
  }
  return data.subarray(position);
}

function nextLine(data: Buffer, from: number): number {
  const newline = data.indexOf(0x0a, from);
  return newline < 0 ? data.length : newline + 1;
}

function entryTime(data: Buffer, from: number): number {
  const blank = data.indexOf(0x20, from);
  const time = Date.parse(data.toString('latin1', from, blank < 0 ? from : blank));
  return Number.isNaN(time) ? 0 : time;
}

/** Turns CRI entries back into the container's bytes. */
class EntryWriter {
  readonly #sink: Writable;
  readonly #hasTimestamps: boolean;
  readonly #signal: AbortSignal;
  #bytesLeft: number;
  #isLineStart = true;

  constructor(sink: Writable, options: LogReadOptions, signal: AbortSignal) {
    this.#sink = sink;
    this.#hasTimestamps = options.timestamps === true;
    this.#signal = signal;
    this.#bytesLeft = options.limitBytes ?? Number.POSITIVE_INFINITY;
  }

  get isFull(): boolean {
    return this.#bytesLeft <= 0 || this.#sink.destroyed;
  }

  /** Writes all finished entries; returns the unfinished end. */
  async write(data: Buffer): Promise<Buffer> {
    const parts: Buffer[] = [];
    let position = 0;
    for (;;) {
      const newline = data.indexOf(0x0a, position);
      if (newline < 0) break;
      this.#decode(data.subarray(position, newline), parts);
      position = newline + 1;
    }
    const out = Buffer.concat(parts).subarray(
      0,
      Math.max(0, Math.min(this.#bytesLeft, Number.MAX_SAFE_INTEGER)),
    );
    this.#bytesLeft -= out.length;
    if (out.length > 0 && !this.#sink.destroyed && !this.#sink.write(out)) {
      await once(this.#sink, 'drain', { signal: this.#signal }).catch(() => undefined); // gone or aborted: the caller sees
    }
    return Buffer.from(data.subarray(position));
  }

  #decode(line: Buffer, parts: Buffer[]): void {
    const first = line.indexOf(0x20);
    const second = line.indexOf(0x20, first + 1);
    const third = line.indexOf(0x20, second + 1);
    if (third < 0) return;
    const isFinal = line[second + 1] === 0x46;
    if (this.#hasTimestamps && this.#isLineStart) parts.push(line.subarray(0, first + 1));
    parts.push(line.subarray(third + 1));
    if (isFinal) parts.push(Buffer.from('\n'));
    this.#isLineStart = isFinal;
  }
}
