import { execFileSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ApiObject } from '#sandbox/apiserver/object.js';
import { StateFile, StateInUse, StateUnreadable } from '#sandbox/apiserver/storage/state-file.js';
import { Store, StoreUnavailable } from '#sandbox/apiserver/storage/store.js';

const resource = 'configmaps';

function object(name: string, value: number): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'n', uid: name, resourceVersion: '', creationTimestamp: '' },
    value,
  };
}

const refuse = (error: unknown): never => {
  throw error;
};

describe('the state file', () => {
  let directory: string;
  let path: string;
  const opened: StateFile[] = [];
  const directories: string[] = [];
  const newDirectory = (): void => {
    directory = mkdtempSync(join(tmpdir(), 'meshctl-state-'));
    directories.push(directory);
    path = join(directory, 'objects.json');
  };
  beforeEach(newDirectory);
  afterEach(async () => {
    for (const file of opened.splice(0)) await file.close();
    for (const each of directories.splice(0)) rmSync(each, { recursive: true, force: true });
  });
  /** Goes on with the files as they are now: what is left when the process dies here. */
  const die = (): void => {
    const from = directory;
    newDirectory();
    cpSync(from, directory, { recursive: true });
  };

  /** A store kept at the path; what an earlier one wrote is in it. */
  const keep = (): { store: Store; file: StateFile } => {
    const store = new Store();
    const file = new StateFile(path, store, refuse);
    file.open();
    return { store, file };
  };
  /** What is kept, read by a process that is never closed. */
  const kept = (): Store => {
    const { store, file } = keep();
    opened.push(file);
    return store;
  };
  const valuesOf = (store: Store): Record<string, unknown> =>
    Object.fromEntries(store.list(resource).map((o) => [o.metadata.name, o.value]));
  const journals = (): string[] => readdirSync(directory).filter((f) => f.includes('.journal-'));

  test('changes are there after a sudden death, and revisions go on from beyond', async () => {
    const { store, file } = keep();
    opened.push(file);
    await expect.poll(() => existsSync(path)).toBe(true);
    const a = store.create(resource, object('a', 1));
    store.create(resource, object('b', 1));
    const changed = store.update(resource, object('a', 2), a);
    store.delete(resource, changed, changed);
    store.create(resource, object('c', 3));
    const last = store.revision;

    die();
    const again = kept();
    expect(valuesOf(again)).toEqual({ b: 1, c: 3 });
    // Whatever a client was told last, nothing new carries a revision it has seen.
    expect(again.revision).toBeGreaterThan(last);
    expect(again.since(resource, last)).toBeUndefined();
  });

  test('after a good end the revision goes on exactly, and the journal is folded into the file', async () => {
    const { store, file } = keep();
    store.create(resource, object('a', 1));
    await file.close();
    const { store: again, file: second } = keep();
    expect(again.revision).toBe(store.revision);
    expect(again.since(resource, store.revision)).toEqual([]);
    await second.close();
    expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({
      revision: store.revision,
      objects: { [resource]: [{ value: 1 }] },
    });
    expect(journals()).toHaveLength(1);
  });

  test('a journal cut off at any byte gives the changes before the cut', async () => {
    const { store, file } = keep();
    for (let i = 0; i < 5; i++) store.create(resource, object(`o${i}`, i));
    await file.close();
    const [journal = ''] = journals();
    const whole = readFileSync(join(directory, journal));
    for (let size = whole.length; size >= 0; size -= 7) {
      writeFileSync(join(directory, journal), whole);
      truncateSync(join(directory, journal), size);
      const lines = whole.subarray(0, size).toString().split('\n').slice(0, -1);
      const expected = lines.filter((l) => l.includes('"r"')).length;
      const read = new Store();
      const reader = new StateFile(path, read, refuse);
      reader.open();
      expect(read.list(resource)).toHaveLength(expected);
      await reader.close();
      // Back to what the first process left.
      for (const name of journals()) rmSync(join(directory, name));
      rmSync(path, { force: true });
    }
  });

  test.each([
    ['cut off', (text: string) => text.slice(0, text.length / 2)],
    ['something else', () => '{"some":"thing"}'],
    ['empty', () => ''],
  ])('a state file that is %s is kept aside, and told', async (_what, spoil) => {
    const { store, file } = keep();
    store.create(resource, object('a', 1));
    await file.close();
    const { file: second } = keep();
    await second.close();
    const spoiled = spoil(readFileSync(path, 'utf8'));
    writeFileSync(path, spoiled);

    expect(() => keep()).toThrow(StateUnreadable);
    const aside = readdirSync(directory).filter((f) => /\.unreadable-[^.]*\.?\w*Z$/.test(f));
    expect(aside).toHaveLength(1);
    expect(readFileSync(join(directory, aside[0] ?? ''), 'utf8')).toBe(spoiled);
    // The next start is a new cluster.
    expect(valuesOf(kept())).toEqual({});
  });

  test('a journal that makes no sense in the middle is not read past', async () => {
    const { store, file } = keep();
    store.create(resource, object('a', 1));
    store.create(resource, object('b', 1));
    await file.close();
    const [journal = ''] = journals();
    const lines = readFileSync(join(directory, journal), 'utf8').split('\n');
    writeFileSync(join(directory, journal), ['garbage', ...lines.slice(1)].join('\n'));
    expect(() => keep()).toThrow(/line 1: not JSON/);
  });

  test('a long journal is folded into the file while changes go on', async () => {
    const { store, file } = keep();
    let current = store.create(resource, object('a', 0));
    const padding = 'x'.repeat(100_000);
    for (let i = 1; i <= 200; i++) current = store.update(resource, { ...object('a', i), padding }, current);
    await file.close();
    const size = journals().reduce((sum, f) => sum + readFileSync(join(directory, f)).length, 0);
    // 20 MB of changes, of one object.
    expect(size).toBeLessThan(10 * 1024 * 1024);
    expect(valuesOf(kept())).toEqual({ a: 200 });
  });

  test('is kept by one process at a time', async () => {
    const { store, file } = keep();
    store.create(resource, object('a', 1));
    expect(() => keep()).toThrow(StateInUse);
    store.create(resource, object('b', 2));
    await file.close();
    expect(valuesOf(kept())).toEqual({ a: 1, b: 2 });
  });

  test('a file from before there were journals is read', () => {
    writeFileSync(path, JSON.stringify({ revision: 7, objects: { [resource]: [object('a', 1)] } }));
    const store = kept();
    expect(valuesOf(store)).toEqual({ a: 1 });
    expect(store.revision).toBeGreaterThanOrEqual(7);
  });

  test('a change that cannot be written is not made, and nobody sees it', async () => {
    const errors: unknown[] = [];
    const store = new Store();
    const file = new StateFile(path, store, (error) => errors.push(error));
    file.open();
    opened.push(file);
    await expect.poll(() => existsSync(path)).toBe(true);
    const seen: number[] = [];
    store.subscribe(resource, ({ revision }) => seen.push(revision));
    const first = store.create(resource, object('a', 1));
    const large = { ...object('a', 2), padding: 'x'.repeat(50_000) };
    // As a disk on which there is room for small changes only.
    limitFiles('25000');
    let current: ApiObject;
    try {
      for (let i = 0; i < 3; i++) {
        expect(() => store.update(resource, large, first)).toThrow(StoreUnavailable);
        expect(file.isHealthy).toBe(false);
      }
      expect(store.list(resource)).toEqual([first]);
      current = store.update(resource, object('a', 3), first);
      expect(file.isHealthy).toBe(true);
      expect(() => store.update(resource, large, current)).toThrow(StoreUnavailable);
    } finally {
      limitFiles('unlimited');
    }
    // Told once each time that it begins.
    expect(errors).toHaveLength(2);
    expect(seen).toEqual([first, current].map((o) => Number(o.metadata.resourceVersion)));
    die();
    expect(valuesOf(kept())).toEqual({ a: 3 });
  });
});

/** The largest file that this process can write, in bytes. */
function limitFiles(size: string): void {
  execFileSync('prlimit', ['--pid', String(process.pid), `--fsize=${size}:`]);
}
