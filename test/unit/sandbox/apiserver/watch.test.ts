import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { acceptedByDefault } from '#sandbox/apiserver/http/negotiation.js';
import { builtinResources } from '#sandbox/apiserver/builtin/builtin-table.js';
import type { ApiObject } from '#sandbox/apiserver/object.js';
import { Store } from '#sandbox/apiserver/storage/store.js';
import { watchEvents, type WatchOptions, type WatchSink } from '#sandbox/apiserver/watch/watch-events.js';

const configMaps = builtinResources().find((r) => r.plural === 'configmaps');
if (configMaps === undefined) throw new Error('there are no ConfigMaps');

const base: WatchOptions = {
  resource: configMaps,
  accepted: acceptedByDefault,
  include: 'Metadata',
  namespace: undefined,
  matches: () => true,
  resourceVersion: '',
  sendInitialEvents: undefined,
  allowsBookmarks: false,
  timeoutSeconds: undefined,
};

function object(name: string): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'n', uid: name, resourceVersion: '', creationTimestamp: '' },
  };
}

/** A client that reads everything at once, or only when told to. */
class Client implements WatchSink {
  readonly frames: string[] = [];
  isReading = true;
  #resume: () => void = () => undefined;

  write(frame: Buffer): boolean {
    this.frames.push(frame.toString());
    return this.isReading;
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  read(): void {
    this.isReading = true;
    this.#resume();
  }

  /** Whether it was told of a revision, or to start over. */
  isCaughtUp(revision: number): boolean {
    const last = this.frames.at(-1) ?? '';
    return last.includes('"type":"ERROR"') || last.includes(`"resourceVersion":"${revision}"`);
  }

  get names(): string[] {
    return this.frames.map((f) => (JSON.parse(f) as { object: ApiObject }).object.metadata.name);
  }
}

describe('a watch', () => {
  test('goes on where a client that paused left off, and loses nothing', async () => {
    const store = new Store();
    const client = new Client();
    const stop = new AbortController();
    const ended = watchEvents(store, base).run(client, stop.signal);
    client.isReading = false;
    for (let i = 0; i < 100; i++) store.create('configmaps', object(`o${i}`));
    // One frame was on its way when the client stopped.
    expect(client.frames).toHaveLength(1);
    client.read();
    await expect.poll(() => client.frames.length).toBe(100);
    expect(client.names).toEqual(Array.from({ length: 100 }, (_, i) => `o${i}`));
    stop.abort();
    await ended;
  });

  test('that is so slow that changes are forgotten says so, after all that came before', async () => {
    const store = new Store({ historyMax: 100, historyBurst: 1 });
    const client = new Client();
    const ended = watchEvents(store, base).run(client, new AbortController().signal);
    let current = store.create('configmaps', object('a'));
    client.isReading = false;
    for (let i = 0; i < 1_000; i++) current = store.update('configmaps', object('a'), current);
    expect(client.frames).toHaveLength(2);
    const told = Number(
      (JSON.parse(client.frames[1] ?? '') as { object: ApiObject }).object.metadata.resourceVersion,
    );
    client.read();
    await ended;
    expect(client.frames).toHaveLength(3);
    expect(JSON.parse(client.frames[2] ?? '')).toMatchObject({
      type: 'ERROR',
      object: { code: 410, message: `too old resource version: ${told} (${store.revision})` },
    });
  });

  test('keeps nothing for a client that does not read but the window that all share', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    const store = new Store({ historyMax: 100, historyBurst: 1 });
    const stop = new AbortController();
    const clients = Array.from({ length: 5 }, () => new Client());
    const ended = clients.map((client) => watchEvents(store, base).run(client, stop.signal));
    for (const client of clients) client.isReading = false;
    const changes: WeakRef<ApiObject>[] = [];
    let current = store.create('configmaps', object('a'));
    for (let i = 0; i < 2_000; i++) {
      current = store.update('configmaps', object('a'), current);
      changes.push(new WeakRef(current));
    }
    // What was made in this turn is kept until its end.
    await new Promise((resolve) => setImmediate(resolve));
    collect();
    expect(changes.filter((c) => c.deref() !== undefined).length).toBeLessThan(150);
    stop.abort();
    await Promise.all(ended);
  });

  test('shows every change once to clients that pause now and then, or tells them to start over', async () => {
    const store = new Store({ historyMax: 50, historyBurst: 1 });
    const clients = Array.from({ length: 10 }, () => new Client());
    const stop = new AbortController();
    const ended = clients.map((client) => watchEvents(store, base).run(client, stop.signal));
    let current = store.create('configmaps', object('a'));
    const first = store.revision;
    for (let i = 1; i <= 400; i++) {
      current = store.update('configmaps', object('a'), current);
      clients.forEach((client, n) => {
        // Each pauses for longer than the one before.
        if (i % (n * 10 + 2) === 0) client.read();
        else if (i % (n * 10 + 2) === 1) client.isReading = false;
      });
      await Promise.resolve();
    }
    for (const client of clients) client.read();
    await expect.poll(() => clients.every((c) => c.isCaughtUp(store.revision))).toBe(true);
    stop.abort();
    await Promise.all(ended);
    const outcomes = clients.map(({ frames }) => {
      const events = frames.map((f) => JSON.parse(f) as { type: string; object: ApiObject });
      const isCut = events.at(-1)?.type === 'ERROR';
      const revisions = (isCut ? events.slice(0, -1) : events).map((e) =>
        Number(e.object.metadata.resourceVersion),
      );
      expect(revisions).toEqual(revisions.map((_, i) => first + i));
      return isCut;
    });
    expect(outcomes[0]).toBe(false);
    expect(outcomes.at(-1)).toBe(true);
  });

  test('ends in good order when its time is up, with a bookmark', async () => {
    const store = new Store();
    store.create('configmaps', object('a'));
    const client = new Client();
    const options = { ...base, allowsBookmarks: true, timeoutSeconds: 0.05 };
    await watchEvents(store, options).run(client, new AbortController().signal);
    const last = JSON.parse(client.frames.at(-1) ?? '') as { type: string; object: ApiObject };
    expect(last).toMatchObject({
      type: 'BOOKMARK',
      object: { metadata: { resourceVersion: String(store.revision) } },
    });
  });

  test('from a revision that is forgotten is told to start over', async () => {
    const store = new Store({ historyMax: 10, historyBurst: 1 });
    for (let i = 0; i < 40; i++) store.create('configmaps', object(`o${i}`));
    const client = new Client();
    const watch = watchEvents(store, { ...base, resourceVersion: '2' });
    await watch.run(client, new AbortController().signal);
    expect(JSON.parse(client.frames[0] ?? '')).toMatchObject({
      type: 'ERROR',
      object: {
        kind: 'Status',
        code: 410,
        reason: 'Expired',
        message: expect.stringContaining('too old resource version: 2'),
      },
    });
  });
});
