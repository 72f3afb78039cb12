import { describe, expect, it } from 'vitest';
import { ObjectCache } from '#sandbox/cluster/cache/object-cache.js';
import { WorkQueue } from '#base/kube/work-queue.js';
import { KubeClient } from '#base/kube/client.js';
import { Reflector } from '#base/kube/reflector.js';
import { pods } from '#base/kube/resource.js';
import type { Pod } from '#base/kube/types.js';
import { makePod } from './objects.js';

function makeQueue(reconcile: (key: string) => Promise<void>, workersMax = 4) {
  const stop = new AbortController();
  const errors: string[] = [];
  const queue = new WorkQueue({
    reconcile,
    workersMax,
    onError: (key, _error, attempt) => errors.push(`${key} ${attempt}`),
  });
  return { queue, stop, errors };
}

async function until(check: () => boolean): Promise<void> {
  const deadline = Date.now() + 900;
  while (!check()) {
    if (Date.now() > deadline) throw new Error('gave up waiting');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('work queue', () => {
  it('never runs a key twice at once, and runs it again when it was added meanwhile', async () => {
    let running = 0;
    let runs = 0;
    let release: () => void = () => undefined;
    const { queue, stop } = makeQueue(async () => {
      running++;
      expect(running).toBe(1);
      runs++;
      if (runs === 1) await new Promise<void>((resolve) => (release = resolve));
      running--;
    });
    queue.start(stop.signal);
    queue.add('k');
    queue.add('k');
    queue.add('k');
    release();
    await until(() => runs === 2 && running === 0);
    stop.abort();
    expect(runs).toBe(2);
  });

  it('retries failures with growing delays and forgets them after a success', async () => {
    let failures = 3;
    const { queue, stop, errors } = makeQueue(() =>
      failures-- > 0 ? Promise.reject(new Error('x')) : Promise.resolve(),
    );
    queue.start(stop.signal);
    queue.add('k');
    await until(() => failures < 0);
    stop.abort();
    expect(errors).toEqual(['k 1', 'k 2', 'k 3']);
  });

  it('does nothing after the end', async () => {
    let runs = 0;
    const { queue, stop } = makeQueue(() => {
      runs++;
      return Promise.resolve();
    });
    queue.start(stop.signal);
    queue.addAfter('late', 1);
    stop.abort();
    queue.add('k');
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(runs).toBe(0);
  });
});

describe('object cache', () => {
  /** A reflector that never starts; the test plays the watch. */
  class Watch extends Reflector<Pod> {
    listener: (change: { type: 'added' | 'modified' | 'deleted'; object: Pod }) => void = () => undefined;
    override onChange(listener: Parameters<Reflector<Pod>['onChange']>[0]): () => void {
      this.listener = (change) =>
        listener({ ...change, key: change.object.metadata.name, received: change.object });
      return () => undefined;
    }
  }
  function make() {
    let now = 0;
    const watch = new Watch({ client: new KubeClient({ server: 'http://127.0.0.1:1' }), resource: pods });
    const cache = new ObjectCache<Pod>(watch, () => now);
    return { watch, cache, tick: (ms: number) => (now += ms) };
  }
  const at = (version: number, o: Parameters<typeof makePod>[0] = {}): Pod => {
    const pod = makePod({ name: 'a', owner: 'set', ...o });
    return { ...pod, metadata: { ...pod.metadata, resourceVersion: String(version) } };
  };

  it("shows a created object before the watch does, and the watch's own after", () => {
    const { watch, cache } = make();
    cache.remember(at(5));
    expect(cache.ownedBy('set').map((pod) => pod.metadata.resourceVersion)).toEqual(['5']);
    watch.listener({ type: 'added', object: at(5) });
    watch.listener({ type: 'modified', object: at(9) });
    expect(cache.ownedBy('set').map((pod) => pod.metadata.resourceVersion)).toEqual(['9']);
  });

  it('does not let an older event hide a newer write', () => {
    const { watch, cache } = make();
    watch.listener({ type: 'added', object: at(3) });
    cache.remember(at(7, { labels: { new: 'yes' } }));
    watch.listener({ type: 'modified', object: at(5) });
    expect(cache.get('ns', 'a')?.metadata.labels).toEqual({ new: 'yes' });
  });

  it('counts a deleted object as terminating until the watch speaks', () => {
    const { watch, cache } = make();
    watch.listener({ type: 'added', object: at(3) });
    cache.rememberDeletion(at(3));
    expect(cache.get('ns', 'a')?.metadata.deletionTimestamp).toBeDefined();
    watch.listener({ type: 'deleted', object: at(4) });
    expect(cache.list()).toEqual([]);
    expect(cache.inNamespace('ns')).toEqual([]);
  });

  it('forgets a write that is never confirmed', () => {
    const { cache, tick } = make();
    cache.remember(at(5));
    tick(60_000);
    expect(cache.ownedBy('set')).toEqual([]);
    expect(cache.list()).toEqual([]);
  });
});
