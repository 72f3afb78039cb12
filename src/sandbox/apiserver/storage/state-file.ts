import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isObject } from '../json.js';
import type { KubeObject } from '../object.js';
import { dropJournal, JournalWriter, moveJournalAside, readJournal } from './journal.js';
import type { Store, StoreEvent } from './store.js';

/** A journal of this size, and twice the size of the state, is folded into it. */
const journalMaxBytes = 8 * 1024 * 1024;
/** How soon a state that could not be written is tried again. */
const retryDelayMs = 5_000;
/** Revisions left out after an unclean end, in which changes may have been told to clients but lost. */
const lostRevisionsMax = 1_000;

type Objects = Record<string, readonly KubeObject[]>;

/** The stored state cannot be read; it was moved out of the way. */
export class StateUnreadable extends Error {
  override readonly name = 'StateUnreadable';
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

function keyOf({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

/**
 * Keeps a store on disk: its whole state in one file, replaced by renaming, and
 * beside it a journal of the changes since. A change is in the journal before
 * its writer learns that it was made, so the sudden death of the process loses
 * nothing. Nothing is forced to the disk itself: when the machine dies, the
 * latest seconds may be lost, and revisions are skipped so that none is ever
 * used twice.
 */
export class StateFile {
  readonly #path: string;
  readonly #store: Store;
  readonly #onError: (error: unknown) => void;
  #journal: JournalWriter | undefined;
  #saving: Promise<void> | undefined;
  #retry: NodeJS.Timeout | undefined;
  #snapshotBytes = 0;
  #unsubscribe: (() => void) | undefined;

  constructor(path: string, store: Store, onError: (error: unknown) => void) {
    this.#path = path;
    this.#store = store;
    this.#onError = onError;
  }

  /** Whether changes reach the disk. */
  get isHealthy(): boolean {
    return this.#retry === undefined;
  }

  /**
   * Reads what was kept into the store and keeps changes from now on. Throws
   * StateUnreadable for files that make no sense; they are moved aside, so that
   * the next start begins with an empty cluster.
   */
  open(): void {
    mkdirSync(dirname(this.#path), { recursive: true, mode: 0o700 });
    this.#load();
    this.#begin();
    this.#unsubscribe = this.#store.subscribeAll((event) => this.#append(event));
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
      const objects = byResource.get(entry.resource) ?? new Map<string, KubeObject>();
      byResource.set(entry.resource, objects);
      if (entry.isDeleted) objects.delete(keyOf(entry.object));
      else objects.set(keyOf(entry.object), entry.object);
    }
    const objects = Object.fromEntries(
      [...byResource].map(([resource, map]) => [resource, [...map.values()]]),
    );
    this.#store.restore({ revision: revision + skipped, objects });
  }

  /** Starts a journal and folds everything older into the file. */
  #begin(): void {
    this.#journal?.abandon();
    this.#journal = undefined;
    try {
      const { revision } = this.#store;
      this.#journal = new JournalWriter(this.#path, revision);
      const text = JSON.stringify(this.#store.snapshot());
      this.#saving = this.#save(text, revision, this.#saving);
    } catch (error) {
      this.#fail(error);
    }
  }

  #append(event: StoreEvent): void {
    const journal = this.#journal;
    if (journal === undefined) return;
    try {
      journal.append(event);
    } catch (error) {
      this.#fail(error);
      return;
    }
    if (journal.size > Math.max(journalMaxBytes, 2 * this.#snapshotBytes)) this.#begin();
  }

  /** The disk is full or gone: the cluster goes on, and is written whole once that works again. */
  #fail(error: unknown): void {
    this.#journal?.abandon();
    this.#journal = undefined;
    if (this.#retry !== undefined) return;
    this.#onError(error);
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#begin();
    }, retryDelayMs);
  }

  async #save(text: string, revision: number, before: Promise<void> | undefined): Promise<void> {
    await before;
    try {
      await replaceFile(this.#path, text);
      this.#snapshotBytes = text.length;
      dropJournal(this.#path, revision);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Writes the final state and stops following. */
  async close(): Promise<void> {
    this.#unsubscribe?.();
    clearTimeout(this.#retry);
    await this.#saving;
    if (this.#journal === undefined) {
      // Changes since the failure are nowhere else.
      await replaceFile(this.#path, JSON.stringify(this.#store.snapshot()));
      dropJournal(this.#path);
      return;
    }
    this.#journal.close();
    this.#journal = undefined;
  }
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
