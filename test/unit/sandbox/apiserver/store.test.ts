import { describe, expect, test } from 'vitest';
import type { ApiObject } from '#sandbox/apiserver/object.js';
import { Store, StoreConflict } from '#sandbox/apiserver/storage/store.js';

function object(name: string, value = 0): ApiObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'n', uid: name, resourceVersion: '', creationTimestamp: '' },
    value,
  };
}

describe('store', () => {
  test('every change gets a higher revision and can be replayed from any point of the window', () => {
    const store = new Store();
    const first = store.create('configmaps', object('a'));
    const second = store.update('configmaps', object('a', 1), first);
    store.delete('configmaps', second, second);
    expect(store.since('configmaps', 0)).toBeUndefined();
    expect((store.since('configmaps', 1) ?? []).map((e) => e.type)).toEqual(['ADDED', 'MODIFIED', 'DELETED']);
    expect(
      (store.since('configmaps', Number(first.metadata.resourceVersion)) ?? []).map((e) => e.type),
    ).toEqual(['MODIFIED', 'DELETED']);
  });

  test('the window is bounded: what fell out of it is gone, not skipped', () => {
    const store = new Store({ historyMax: 10, historyBurst: 1 });
    const start = store.revision;
    for (let i = 0; i < 40; i++) store.create('configmaps', object(`o${i}`));
    expect(store.since('configmaps', start)).toBeUndefined();
    expect(store.since('configmaps', store.revision - 5)).toHaveLength(5);
  });

  test('the window is longer for a burst, and bounded then too', () => {
    const store = new Store({ historyMax: 10, historyBurst: 4 });
    const start = store.revision;
    for (let i = 0; i < 40; i++) store.create('configmaps', object(`o${i}`));
    expect(store.since('configmaps', start)).toHaveLength(40);
    for (let i = 40; i < 80; i++) store.create('configmaps', object(`o${i}`));
    expect(store.next('configmaps', start)).toBe('forgotten');
    expect(store.since('configmaps', store.revision - 30)).toHaveLength(30);
    expect(store.next('configmaps', store.revision)).toBe('none');
  });

  test('compaction forgets the states from before the one before it, not the changes since', () => {
    const store = new Store();
    const first = Number(store.create('configmaps', object('a')).metadata.resourceVersion);
    store.compact();
    const second = Number(store.create('configmaps', object('b')).metadata.resourceVersion);
    expect(store.listAt('configmaps', first - 1)).toEqual([]);
    store.compact();
    expect(store.listAt('configmaps', first - 1)).toBeUndefined();
    expect(store.listAt('configmaps', first)).toHaveLength(1);
    store.compact();
    expect(store.listAt('configmaps', first)).toBeUndefined();
    expect(store.listAt('configmaps', second)).toHaveLength(2);
    expect(store.since('configmaps', first)).toHaveLength(1);
  });

  test('a write based on an outdated object is refused', () => {
    const store = new Store();
    const first = store.create('configmaps', object('a'));
    store.update('configmaps', object('a', 1), first);
    expect(() => store.update('configmaps', object('a', 2), first)).toThrow(StoreConflict);
    expect(() => store.create('configmaps', object('a'))).toThrow(StoreConflict);
  });

  test('a restored store continues after its last revision and expires older watches', () => {
    const store = new Store();
    store.create('configmaps', object('a'));
    const copy = new Store();
    copy.restore(structuredClone(store.snapshot()));
    expect(copy.get('configmaps', 'n', 'a')).toBeDefined();
    expect(copy.since('configmaps', store.revision - 1)).toBeUndefined();
    expect(Number(copy.create('configmaps', object('b')).metadata.resourceVersion)).toBeGreaterThan(
      store.revision,
    );
  });
});
