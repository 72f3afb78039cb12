import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { dropJournal, JournalWriter, moveJournalAside, readJournal } from './journal.js';
import { type FileLock, tryLockFile } from '../../base/file-lock.js';
import { type Store, StoreUnavailable } from './store.js';
import type { StoreEvent } from './store-event.js';

/** A journal of this size, and twice the size of the state, is folded into it. */
const journalMaxBytes = 8 * 1024 * 1024;
/** How soon folding is tried again where it failed. */
const retryDelayMs = 5_000;
/** The lock may be given back while we look at it. */
const lockAttemptsMax = 3;
/** Revisions left out after an unclean end, in which changes may have been told to clients but lost. */
const lostRevisionsMax = 1_000;

type Objects = Record<string, readonly ApiObject[]>;

/** The stored state cannot be read; it was moved out of the way. */
export class StateUnreadable extends Error {
  override readonly name = 'StateUnreadable';
}

/** Another process keeps its objects in the same place. */
export class StateInUse extends Error {
  override readonly name = 'StateInUse';
}

function parseSnapshot(text: string): { revision: number; objects: Objects } {
  const parsed: unknown = JSON.parse(text);
  const isOurs =
    isObject(parsed) &&
    typeof parsed.revision === 'number' &&
    isObject(parsed.objects) &&
    Object.values(parsed.objects).every((list) => Array.isArray(list));
  if (!isOurs) throw new Error('not a state file of this server');
  // Written by #save() below, which only writes stored objects.
  return parsed as unknown as { revision: number; objects: Objects };
}

function keyOf({ metadata }: ApiObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

/**
 * Keeps a store on disk: its whole state in one file, replaced by renaming, and
 * beside it a journal of the changes since. A change is in the journal before
 * anybody sees it, so the sudden death of the process loses nothing; one that
 * does not get there, because the disk is full, is not made. Nothing is forced
 * to the disk itself: when the machine dies, the latest seconds may be lost,
 * and revisions are skipped so that none is ever used twice.
 */
export class StateFile {
  readonly #path: string;
  readonly #store: Store;
  readonly #onError: (error: unknown) => void;
  #lock: FileLock | undefined;
  #journal: JournalWriter | undefined;
  #saving: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #snapshotBytes = 0;
  #foldAt = 0;
  #isHealthy = true;

  constructor(path: string, store: Store, onError: (error: unknown) => void) {
    this.#path = path;
    this.#store = store;
    this.#onError = onError;
  }

  /** Whether the latest change reached the disk. */
  get isHealthy(): boolean {
    return this.#isHealthy;
  }

  /**
   * Reads what was kept into the store and keeps changes from now on. Throws
   * StateInUse while another process does so, and StateUnreadable for files that
   * make no sense; they are moved aside, so that the next start begins with an
   * empty cluster.
   */
  open(): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    this.#lock = lockOf(this.#path);
    try {
      this.#load();
      this.#fold();
    } catch (error) {
      this.#lock.release();
      throw error;
    }
    this.#store.keepWith((event) => this.#append(event));
  }

  #load(): void {
    let isClosed = true;
    try {
      const text = existsSync(this.#path) ? readFileSync(this.#path, 'utf8') : undefined;
      const snapshot = text === undefined ? { revision: 0, objects: {} } : parseSnapshot(text);
      this.#snapshotBytes = text?.length ?? 0;
      const journal = readJournal(this.#path);
      if (text === undefined && journal.entries.length === 0) return;
      ({ isClosed } = journal);
      this.#restore(snapshot, journal.entries, isClosed ? 0 : lostRevisionsMax);
    } catch (error) {
      const aside = `${this.#path}.unreadable-${new Date().toISOString().replaceAll(':', '-')}`;
      if (existsSync(this.#path)) renameSync(this.#path, aside);
      moveJournalAside(this.#path, aside);
      const why = error instanceof Error ? error.message : String(error);
      throw new StateUnreadable(
        `the state of the cluster in ${this.#path} cannot be read (${why}); it was kept as ${aside}, and the next start begins with an empty cluster`,
      );
    }
  }

  #restore(
    snapshot: { revision: number; objects: Objects },
    entries: ReturnType<typeof readJournal>['entries'],
    skipped: number,
  ): void {
    const byResource = new Map(
      Object.entries(snapshot.objects).map(([resource, list]) => [
        resource,
        new Map(list.map((o) => [keyOf(o), o])),
      ]),
    );
    let { revision } = snapshot;
    for (const entry of entries) {
      // Changes from before the snapshot are in it.
      if (entry.revision <= snapshot.revision) continue;
      revision = Math.max(revision, entry.revision);
      const objects = byResource.get(entry.resource) ?? new Map<string, ApiObject>();
      byResource.set(entry.resource, objects);
      if (entry.isDeleted) objects.delete(keyOf(entry.object));
      else objects.set(keyOf(entry.object), entry.object);
    }
    const objects = Object.fromEntries(
      [...byResource].map(([resource, map]) => [resource, [...map.values()]]),
    );
    this.#store.restore({ revision: revision + skipped, objects });
  }

  /** Starts a journal of its own for what comes, and folds everything older into the file. */
  #fold(): void {
    const { revision } = this.#store;
    const next = new JournalWriter(this.#path, revision);
    this.#journal?.abandon();
    this.#journal = next;
    this.#foldAt = Math.max(journalMaxBytes, 2 * this.#snapshotBytes);
    const text = JSON.stringify(this.#store.snapshot());
    this.#saving = this.#save(text, revision, this.#saving);
  }

  /** Throws StoreUnavailable. */
  #append(event: StoreEvent): void {
    try {
      if (this.#journal !== undefined && this.#journal.size > this.#foldAt) this.#fold();
      // After a failure: what the last file ends with is no whole line, and so it stays.
      this.#journal ??= new JournalWriter(this.#path, event.revision - 1);
      this.#journal.append(event);
      this.#isHealthy = true;
    } catch (error) {
      this.#journal?.abandon();
      this.#journal = undefined;
      if (this.#isHealthy) this.#onError(error);
      this.#isHealthy = false;
      throw new StoreUnavailable(
        `the change cannot be kept: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  /** On failure everything still is in the journals: they are folded later. */
  async #save(text: string, revision: number, before: Promise<void> | undefined): Promise<void> {
    await before;
    try {
      await replaceFile(this.#path, text);
      this.#snapshotBytes = text.length;
      dropJournal(this.#path, revision);
    } catch (error) {
      this.#onError(error);
      this.#retry ??= setTimeout(() => {
        this.#retry = undefined;
        this.#foldAt = 0;
      }, retryDelayMs).unref();
    }
  }

  /** Marks a good end and stops following. */
  async close(): Promise<void> {
    this.#store.keepWith(undefined);
    clearTimeout(this.#retry);
    await this.#saving;
    try {
      this.#journal?.close();
    } catch {
      // On a full disk the end looks like a sudden one.
    }
    this.#journal = undefined;
    this.#lock?.release();
  }
}

/** Throws StateInUse, and fs errors. */
function lockOf(path: string): FileLock {
  for (let attempt = 0; attempt < lockAttemptsMax; attempt++) {
    const lock = tryLockFile(`${path}.lock`);
    if (lock !== undefined) return lock;
  }
  throw new StateInUse(`the state of the cluster in ${path} is in use by another process`);
}

/** Writes a file under another name, forces it to the disk, and gives it its name: it is whole or old. */
async function replaceFile(path: string, text: string): Promise<void> {
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}
