import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ApiRequest, KubeClient } from '#base/kube/client.js';
import * as resources from '#base/kube/resource.js';
import type { Condition, GatewayClass } from '#base/kube/types.js';
import { createLogger, setLogLevel } from '#base/telemetry/log.js';
import { Graph } from '#mesh/controller/graph/graph.js';
import type { LiveStatus } from '#mesh/controller/model/inputs.js';
import { statusChange, type StatusChange } from '#mesh/controller/status/desired-status.js';
import { StatusWriter } from '#mesh/controller/status/status-writer.js';
import { ApiUnderTest, eventually } from '../../sandbox/apiserver/api-under-test.js';

/** Counts what it writes. */
class CountingClient extends KubeClient {
  writes = 0;

  override request<T>(request: ApiRequest): Promise<T> {
    if (request.method === 'PATCH') this.writes += 1;
    return super.request<T>(request);
  }
}

let api: ApiUnderTest;
let client: CountingClient;
const stop = new AbortController();
const ref = (name: string) => ({ resource: resources.gatewayClasses, name });

beforeAll(async () => {
  setLogLevel('error');
  api = await ApiUnderTest.start();
  client = new CountingClient((await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig })).connection);
  // A Gateway API older than supportedFeatures: it drops what it does not know.
  await api.ok(
    ['apply', '-f', '-'],
    `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: gatewayclasses.gateway.networking.k8s.io
  annotations: { api-approved.kubernetes.io: "https://example.com" }
spec:
  group: gateway.networking.k8s.io
  scope: Cluster
  names: { plural: gatewayclasses, kind: GatewayClass }
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {} }
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: { type: object, properties: { controllerName: { type: string } } }
            status:
              type: object
              properties:
                conditions:
                  type: array
                  items: { type: object, x-kubernetes-preserve-unknown-fields: true }
`,
  );
  await eventually(async () => {
    await client.list(resources.gatewayClasses);
    return true;
  });
});

afterAll(async () => {
  stop.abort();
  client.close();
  await api.stop();
});

/** A writer of one status, of an object whose state the test tells it. */
function writerOf(name: string, fields: Record<string, unknown> = {}) {
  const graph = new Graph(
    () => setImmediate(() => graph.flush()),
    (key, error) => {
      throw new Error(key, { cause: error });
    },
  );
  const live = graph.source<LiveStatus>();
  const changes = graph.derive<LiveStatus, StatusChange>({
    name: 'changes',
    from: live,
    compute: (of) => {
      const accepted = {
        type: 'Accepted',
        status: 'True',
        reason: 'Accepted',
        message: 'by the test',
      } as const;
      const desired = {
        kind: 'gatewayClasses',
        namespace: '',
        name,
        conditions: [accepted],
        fields,
      } as const;
      const change = statusChange(desired, of);
      return change === undefined ? [] : [{ key: 'k', value: change }];
    },
  });
  const writer = new StatusWriter({ client, graph, changes, log: createLogger('test') });
  const look = async () => {
    const { metadata, status } = await client.get<GatewayClass>(ref(name));
    live.set('k', { resourceVersion: metadata.resourceVersion ?? '', status: { ...status } });
    return status?.conditions as Condition[] | undefined;
  };
  return { writer, live, look };
}

const create = (name: string) =>
  client.create(resources.gatewayClasses, {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GatewayClass',
    metadata: { name },
    spec: { controllerName: 'istio.io/mesh-controller' },
  });

test('nothing is written without the lease, and what waited is written with it', async () => {
  await create('waits');
  const { writer, look } = writerOf('waits');
  await look();
  await delay(100);
  expect(await look()).toBeUndefined();
  void writer.lead('revision', stop.signal);
  await delay(100);
  expect(await look()).toBeUndefined();
  void writer.lead('mesh', stop.signal);
  await eventually(async () => (await look())?.length === 1);
});

test('a write to an object that changed meanwhile is made anew from what that left', async () => {
  await create('conflict');
  const { writer, live, look } = writerOf('conflict');
  live.set('k', { resourceVersion: '1', status: {} });
  const theirs = {
    type: 'Theirs',
    status: 'True',
    reason: 'R',
    message: '',
    lastTransitionTime: '2026-01-01T00:00:00Z',
  };
  await client.patch({ ...ref('conflict'), subresource: 'status' }, { status: { conditions: [theirs] } });
  void writer.lead('mesh', stop.signal);
  await delay(100);
  await eventually(async () => (await look())?.length === 2);
  expect((await look())?.map(({ type }) => type)).toEqual(['Theirs', 'Accepted']);
});

test('what the API server does not keep is not written for ever', async () => {
  await create('pruned');
  const { writer, look } = writerOf('pruned', { supportedFeatures: [{ name: 'X' }] });
  await look();
  const before = client.writes;
  void writer.lead('mesh', stop.signal);
  await eventually(async () => (await look())?.length === 1);
  for (let i = 0; i < 5; i++) {
    await delay(50);
    await look();
    await client.patch({ ...ref('pruned') }, { metadata: { labels: { touched: String(i) } } });
  }
  // Five are the test's own.
  expect(client.writes - before - 5).toBeLessThanOrEqual(2);
  await client.patch({ ...ref('pruned'), subresource: 'status' }, { status: { conditions: [] } });
  await eventually(async () => (await look())?.length === 1);
});
