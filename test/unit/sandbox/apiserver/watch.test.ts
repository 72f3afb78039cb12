import { describe, expect, test } from 'vitest';
import { acceptedByDefault } from '../../../../src/sandbox/apiserver/http/negotiation.js';
import { builtinResources } from '../../../../src/sandbox/apiserver/kinds/builtin-table.js';
import type { KubeObject } from '../../../../src/sandbox/apiserver/object.js';
import { Store } from '../../../../src/sandbox/apiserver/storage/store.js';
import {
  watchEvents,
  type WatchOptions,
  type WatchSink,
} from '../../../../src/sandbox/apiserver/watch/watch-events.js';

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

function object(name: string): KubeObject {
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

  get names(): string[] {
    return this.frames.map((f) => (JSON.parse(f) as { object: KubeObject }).object.metadata.name);
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
    expect(await ended).toBe('done');
  });

  test('is cut when its client falls too far behind', async () => {
    const store = new Store();
    const client = new Client();
    const ended = watchEvents(store, base).run(client, new AbortController().signal);
    client.isReading = false;
    let current = store.create('configmaps', object('a'));
    for (let i = 0; i < 10_100; i++) current = store.update('configmaps', object('a'), current);
    expect(await ended).toBe('too-slow');
    expect(client.frames).toHaveLength(1);
  });

  test('ends in good order when its time is up, with a bookmark', async () => {
    const store = new Store();
    store.create('configmaps', object('a'));
    const client = new Client();
    const options = { ...base, allowsBookmarks: true, timeoutSeconds: 0.05 };
    expect(await watchEvents(store, options).run(client, new AbortController().signal)).toBe('done');
    const last = JSON.parse(client.frames.at(-1) ?? '') as { type: string; object: KubeObject };
    expect(last).toMatchObject({
      type: 'BOOKMARK',
      object: { metadata: { resourceVersion: String(store.revision) } },
    });
  });

  test('from a revision that is forgotten is told to start over', async () => {
    const store = new Store({ historyMax: 10 });
    for (let i = 0; i < 40; i++) store.create('configmaps', object(`o${i}`));
    const client = new Client();
    const watch = watchEvents(store, { ...base, resourceVersion: '2' });
    expect(await watch.run(client, new AbortController().signal)).toBe('done');
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
