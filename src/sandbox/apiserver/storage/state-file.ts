import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { writeFile, rename } from 'node:fs/promises';
import { isObject } from '../json.js';
import type { KubeObject } from '../object.js';
import type { Store } from './store.js';

/** Changes are written at most this often. */
const saveDelayMs = 1_000;

/** Keeps a store in one JSON file, written to a temporary name and renamed, so that it is whole or old. */
export class StateFile {
  readonly #path: string;
  readonly #store: Store;
  readonly #onError: (error: unknown) => void;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> | undefined;
  #unsubscribe: (() => void) | undefined;

  constructor(path: string, store: Store, onError: (error: unknown) => void) {
    this.#path = path;
    this.#store = store;
    this.#onError = onError;
  }

  /** Reads the file, if there is one, into the store, and saves changes from now on. */
  open(): void {
    let text: string | undefined;
    try {
      text = readFileSync(this.#path, 'utf8');
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
    }
    if (text !== undefined) {
      const parsed: unknown = JSON.parse(text);
      if (!isObject(parsed) || typeof parsed.revision !== 'number' || !isObject(parsed.objects)) {
        throw new Error(`${this.#path} is not a state file of this server`);
      }
      // Written by save() below, which only writes stored objects.
      this.#store.restore(parsed as unknown as { revision: number; objects: Record<string, KubeObject[]> });
    }
    this.#unsubscribe = this.#store.subscribeAll(() => {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#writing = this.#save();
      }, saveDelayMs);
    });
  }

  /** Writes the final state and stops following. */
  async close(): Promise<void> {
    this.#unsubscribe?.();
    clearTimeout(this.#timer);
    await this.#writing;
    writeFileSync(`${this.#path}.new`, JSON.stringify(this.#store.snapshot()), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }

  async #save(): Promise<void> {
    try {
      await this.#writing;
      await writeFile(`${this.#path}.new`, JSON.stringify(this.#store.snapshot()), { mode: 0o600 });
      await rename(`${this.#path}.new`, this.#path);
    } catch (error) {
      this.#onError(error);
    }
  }
}
