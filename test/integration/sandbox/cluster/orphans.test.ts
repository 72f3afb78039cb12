import { createServer, type Server } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { KubeClient } from '#base/kube/client.js';
import { configMaps, secrets } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { startApiServer } from '#sandbox/apiserver/server.js';
import { EventRecorder } from '#sandbox/base/event-recorder.js';
import { GarbageCollector } from '#sandbox/cluster/garbage-collection/garbage-collector.js';
import { ownershipOf } from '#sandbox/cluster/garbage-collection/ownership-graph.js';
import { MetadataWatches } from '#sandbox/cluster/metadata/metadata-watches.js';
import type { ApiServer } from '#sandbox/base/api-server.js';
import { createLogger } from '#base/telemetry/log.js';
import { eventually } from '../../../harness/cluster.js';
import { localKubelet } from '../apiserver/api-under-test.js';

const namespace = 'default';
const timeoutMs = 20_000;

let api: ApiServer;
let client: KubeClient;
let proxy: Server;
const stopping = new AbortController();
/** Watches of ConfigMaps get nothing before this resolves. */
let isFlowing: Promise<void> = Promise.resolve();

beforeAll(async () => {
  api = await startApiServer({
    listeners: [{ kind: 'address', host: '127.0.0.1', port: 0 }],
    advertise: { host: '127.0.0.1', port: 6443 },
    kubelet: localKubelet,
    logger: createLogger('orphans-test'),
  });
  const server = `https://127.0.0.1:${api.ports[0]}`;
  const { certPem: cert, keyPem: key } = await api.issue('admin', ['system:masters']);
  const tls = { ca: api.caPem, cert, key };
  client = new KubeClient({ server, ...tls });
  // The way of the garbage collector to the API server, on which one watch can be slow.
  proxy = createServer((asked, answer) => {
    const url = asked.url ?? '/';
    const isHeld = url.startsWith('/api/v1/configmaps?') && url.includes('watch=1');
    const { method, headers } = asked;
    const onward = httpsRequest(`${server}${url}`, { method, headers, ...tls }, (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      answer.flushHeaders();
      response.on('error', () => answer.destroy());
      response.on('end', () => answer.end());
      response.on('data', (chunk: Buffer) => {
        if (!isHeld) answer.write(chunk);
        else void isFlowing.then(() => answer.write(chunk));
      });
    });
    onward.on('error', () => answer.destroy());
    answer.on('close', () => onward.destroy());
    asked.pipe(onward);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  const slow = new KubeClient({ server: `http://127.0.0.1:${port}` }, { socketsMax: 200 });
  const { signal } = stopping;
  const watches = new MetadataWatches({ client: slow, signal, keep: ownershipOf });
  const events = new EventRecorder({ client: slow, component: 'garbage-collector' });
  const collector = new GarbageCollector({ client: slow, watches, signal, events });
  void collector.run();
  await watches.start();
});
afterAll(async () => {
  stopping.abort();
  client.close();
  proxy.closeAllConnections();
  await new Promise((resolve) => proxy.close(resolve));
  await api.close();
});

test('orphans keep what their slow watch has not told of yet', async () => {
  let flow = (): void => undefined;
  isFlowing = new Promise((resolve) => {
    flow = resolve;
  });
  const make = (kind: string, name: string, owners: readonly KubeObject[]): Promise<KubeObject> =>
    client.create(
      kind === 'Secret' ? secrets : configMaps,
      {
        apiVersion: 'v1',
        kind,
        metadata: {
          name,
          ownerReferences: owners.map(({ metadata }) => ({
            apiVersion: 'v1',
            kind: 'Secret',
            name: metadata.name,
            uid: metadata.uid,
          })),
        },
      },
      { namespace },
    );
  // The owner is of a kind whose watch is fast.
  const owner = await make('Secret', 'owner', []);
  const dependents = Array.from({ length: 5 }, (_, i) => `dependent-${i}`);
  for (const name of dependents) await make('ConfigMap', name, [owner]);
  const at = { resource: secrets, namespace, name: 'owner' };
  await client.delete(at, { propagation: 'Orphan' });
  await eventually(async () => expect(await client.getOrUndefined(at)).toBeUndefined(), { timeoutMs });
  flow();
  // What comes after on the same watch is taken care of: so was what came before.
  const other = await make('Secret', 'other', []);
  await make('ConfigMap', 'last', [other]);
  await client.delete({ ...at, name: 'other' }, { propagation: 'Background' });
  await eventually(
    async () =>
      expect(await client.getOrUndefined({ resource: configMaps, namespace, name: 'last' })).toBeUndefined(),
    { timeoutMs },
  );
  for (const name of dependents) {
    const { metadata } = await client.get({ resource: configMaps, namespace, name });
    expect(metadata.ownerReferences ?? []).toEqual([]);
    expect(metadata.deletionTimestamp).toBeUndefined();
  }
});
