import { closeSync, openSync, readdirSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isObject, type JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { StoreEvent } from './store-event.js';

/** One change as a line of a journal. */
interface Entry {
  readonly revision: number;
  readonly resource: string;
  readonly isDeleted: boolean;
  readonly object: ApiObject;
}

/** The last line of a journal that was closed in good order. */
const closingLine = '{"closed":true}\n';

/** What a journal's files hold. */
export interface JournalContent {
  readonly entries: readonly Entry[];
  /** Closed in good order: nothing was acknowledged beyond the last entry. */
  readonly isClosed: boolean;
}

function entryOf(value: unknown): Entry | undefined {
  if (!isObject(value) || typeof value.r !== 'number' || typeof value.k !== 'string') return undefined;
  const { o: object } = value;
  if (!isObject(object) || !isObject(object.metadata) || typeof object.metadata.name !== 'string')
    return undefined;
  // Written by append() below, which only writes stored objects.
  return { revision: value.r, resource: value.k, isDeleted: value.d === true, object: object as ApiObject };
}

/** Files of a journal, oldest first. */
function segmentsOf(path: string): { file: string; start: number }[] {
  const prefix = `${basename(path)}.journal-`;
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => ({ file: join(dirname(path), name), start: Number(name.slice(prefix.length)) }))
    .sort((a, b) => a.start - b.start);
}

/**
 * Reads the journal beside a state file. A line that was cut off in the middle
 * of its writing ends its file: what it said was never acknowledged. Throws
 * for a line that makes no sense with others behind it.
 */
export function readJournal(path: string): JournalContent {
  const entries: Entry[] = [];
  let isClosed = false;
  for (const { file } of segmentsOf(path)) {
    const text = readFileSync(file, 'utf8');
    const lines = text.split('\n');
    // What follows the last line end: nothing, or the beginning of a line.
    lines.pop();
    for (const [i, line] of lines.entries()) {
      let value: unknown;
      try {
        value = JSON.parse(line);
      } catch {
        throw new Error(`${file}, line ${i + 1}: not JSON`);
      }
      isClosed = isObject(value) && value.closed === true;
      if (isClosed) continue;
      const entry = entryOf(value);
      if (entry === undefined) throw new Error(`${file}, line ${i + 1}: not a change of an object`);
      entries.push(entry);
    }
    if (!text.endsWith('\n') && text !== '') isClosed = false;
  }
  return { entries, isClosed };
}

/** Deletes the files of a journal that end before a revision; all of them without one. */
export function dropJournal(path: string, before = Number.POSITIVE_INFINITY): void {
  for (const { file, start } of segmentsOf(path)) if (start < before) unlinkSync(file);
}

/**
 * Writes changes to a file as they commit. Every line is with the kernel
 * before append() returns, so that the death of this process loses nothing;
 * that of the machine may lose the latest lines.
 */
export class JournalWriter {
  readonly #fd: number;
  #size = 0;

  /** @param start the revision before the first change. */
  constructor(path: string, start: number) {
    this.#fd = openSync(`${path}.journal-${start}`, 'w', 0o600);
  }

  /** Bytes written. */
  get size(): number {
    return this.#size;
  }

  append({ revision, resource, type, object }: StoreEvent): void {
    const isDeleted = type === 'DELETED';
    const { namespace, name } = object.metadata;
    const shown: JsonObject = isDeleted
      ? { metadata: { ...(namespace === undefined ? {} : { namespace }), name } }
      : object;
    this.#write(
      `${JSON.stringify({ r: revision, k: resource, ...(isDeleted ? { d: true } : {}), o: shown })}\n`,
    );
  }

  /** Marks a good end and closes the file. */
  close(): void {
    try {
      this.#write(closingLine);
    } finally {
      this.abandon();
    }
  }

  /** Closes the file without a mark: another one goes on. */
  abandon(): void {
    closeSync(this.#fd);
  }

  #write(line: string): void {
    const bytes = Buffer.from(line);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    this.#size += bytes.length;
  }
}

/** Moves the files of a journal beside what was kept of its state. */
export function moveJournalAside(path: string, aside: string): void {
  for (const { file, start } of segmentsOf(path)) renameSync(file, `${aside}.journal-${start}`);
}
