import { afterAll, beforeAll, expect, test } from 'vitest';
import { KubeApiError } from '#base/kube/api-error.js';
import { KubeClient } from '#base/kube/client.js';
import { Reflector, type ReflectorChange } from '#base/kube/reflector.js';
import { configMaps } from '#base/kube/resource.js';
import type { ConfigMap } from '#base/kube/types.js';
import { setLogLevel } from '#base/telemetry/log.js';
import { ApiUnderTest, eventually } from '../../sandbox/apiserver/api-under-test.js';

/** More than a page of a list. */
const count = 620;

/** A client whose watches can be told that the server forgot their position. */
class ForgetfulClient extends KubeClient {
  watches = 0;
  #forget: (() => void) | undefined;

  override async *stream(o: Parameters<KubeClient['stream']>[0]): AsyncGenerator<string, void, undefined> {
    this.watches += 1;
    const forgotten = new AbortController();
    this.#forget = () => forgotten.abort();
    const signal = o.signal === undefined ? forgotten.signal : AbortSignal.any([o.signal, forgotten.signal]);
    for await (const line of lines(super.stream({ ...o, signal }), forgotten.signal)) yield line;
    if (forgotten.signal.aborted) throw new KubeApiError('MESH0207', 410, { message: 'too old' });
  }

  forgetPosition(): void {
    this.#forget?.();
  }
}

/** Lines until the signal ends them, which is no failure. */
async function* lines(
  source: AsyncGenerator<string, void, undefined>,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  try {
    yield* source;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

let api: ApiUnderTest;
let client: ForgetfulClient;
const stop = new AbortController();

const map = (name: string, value = 'x') => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data: { value },
});

beforeAll(async () => {
  setLogLevel('error');
  api = await ApiUnderTest.start();
  client = new ForgetfulClient((await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig })).connection);
  for (let i = 0; i < count; i += 20) {
    await Promise.all(
      Array.from({ length: 20 }, (_, j) =>
        client.create(configMaps, map(`m${i + j}`), { namespace: 'default' }),
      ),
    );
  }
});

afterAll(async () => {
  stop.abort();
  client.close();
  await api.stop();
});

test('follows a kind of several pages through a list that is made anew', async () => {
  const reflector = new Reflector<ConfigMap>({
    client,
    resource: configMaps,
    namespace: 'default',
    keep: ({ apiVersion, kind, metadata }) => ({ apiVersion, kind, metadata }),
  });
  const changes: ReflectorChange<ConfigMap>[] = [];
  reflector.onChange((change) => changes.push(change));
  reflector.start(stop.signal);
  await reflector.synced();
  const ours = () => reflector.list().filter(({ metadata }) => metadata.name.startsWith('m'));
  expect(ours()).toHaveLength(count);
  // What is kept is a part of what listeners get.
  expect(reflector.get('default', 'm7')?.data).toBeUndefined();
  expect(changes.find(({ object }) => object.metadata.name === 'm7')).toMatchObject({
    type: 'added',
    received: { data: { value: 'x' } },
  });
  changes.length = 0;
  await eventually(() => Promise.resolve(client.watches === 1));
  client.forgetPosition();
  const ref = (name: string) => ({ resource: configMaps, namespace: 'default', name });
  // Before the list is made anew, unseen by any watch.
  await Promise.all([
    client.delete(ref('m3')),
    client.update(ref('m619'), map('m619', 'y')),
    client.create(configMaps, map('new'), { namespace: 'default' }),
  ]);
  await eventually(() => Promise.resolve(client.watches === 2 && changes.length >= 3));
  const told = changes.map(({ type, object }) => `${type} ${object.metadata.name}`).sort();
  expect(told).toEqual(['added new', 'deleted m3', 'modified m619']);
  expect(ours()).toHaveLength(count - 1);
});
