import { create, fromBinary } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  type DeltaDiscoveryResponse,
} from '#mesh/xds/gen/envoy/discovery_pb.js';
import { AddressSchema } from '#mesh/xds/gen/istio/workload_pb.js';
import {
  Connection,
  maxPendingNames,
  maxQueuedRequests,
  type DeltaStream,
} from '#mesh/xds/server/connection.js';
import { Push } from '#mesh/xds/server/push.js';
import { encodeResource, type WireResource } from '#mesh/xds/server/resource.js';
import type { ResourceSource } from '#mesh/xds/server/source.js';

/** A transport whose writes finish when the test says so. */
class SlowStream implements DeltaStream {
  readonly written: DeltaDiscoveryResponse[] = [];
  readonly reading: boolean[] = [];
  failure: string | undefined;
  isOpen = true;
  #waiting: (() => void)[] = [];

  write(bytes: Buffer): Promise<void> {
    this.written.push(fromBinary(DeltaDiscoveryResponseSchema, bytes));
    if (this.isOpen) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  setReading(isReading: boolean): void {
    this.reading.push(isReading);
  }

  fail(reason: string): void {
    this.failure = reason;
  }

  drain(): void {
    this.isOpen = true;
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

function resource(typeUrl: string, name: string): WireResource {
  return encodeResource({
    name,
    typeUrl,
    schema: AddressSchema,
    message: create(AddressSchema),
    isVersioned: true,
  });
}

function source(typeUrl: string, o: { removesLast: boolean; content: Set<string> }): ResourceSource {
  return {
    typeUrl,
    tracksNames: o.removesLast,
    removesLast: o.removesLast,
    allowsOnDemand: false,
    all: () => [...o.content].map((name) => resource(typeUrl, name)),
    lookup: (name) => (o.content.has(name) ? [resource(typeUrl, name)] : []),
  };
}

function setUp() {
  const stream = new SlowStream();
  const policies = new Set(['old']);
  const addresses = new Set(['w']);
  const connection = new Connection({
    stream,
    subscriber: { nodeId: 'n', proxyType: 'ztunnel', metadata: {} },
    sources: [
      source('policy', { removesLast: true, content: policies }),
      source('address', { removesLast: false, content: addresses }),
    ],
    events: { request: () => undefined, sent: () => undefined },
    currentVersion: () => 'v',
    now: () => 0,
  });
  const ask = (typeUrl: string) => connection.receive(create(DeltaDiscoveryRequestSchema, { typeUrl }));
  return { stream, policies, addresses, connection, ask };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test('new policies leave before the addresses that name them, obsolete ones after', async () => {
  const { stream, policies, addresses, connection, ask } = setUp();
  ask('address');
  ask('policy');
  await settle();
  expect(stream.written.map(({ typeUrl }) => typeUrl)).toEqual(['address', 'policy']);
  policies.delete('old');
  policies.add('new');
  addresses.add('w2');
  connection.push(
    new Push(
      new Map([
        ['address', new Set(['w2'])],
        ['policy', new Set(['old', 'new'])],
      ]),
    ),
  );
  await settle();
  const sent = stream.written
    .slice(2)
    .map((r) => [r.typeUrl, r.resources.map(({ name }) => name), r.removedResources]);
  expect(sent).toEqual([
    ['policy', ['new'], []],
    ['address', ['w2'], []],
    ['policy', [], ['old']],
  ]);
});

test('pushes that arrive while the client is slow are merged into one', async () => {
  const { stream, addresses, connection, ask } = setUp();
  stream.isOpen = false;
  ask('address');
  await settle();
  for (const name of ['a', 'b', 'a', 'w']) {
    addresses.add(name);
    connection.push(new Push(new Map([['address', new Set([name])]])));
  }
  await settle();
  expect(stream.written).toHaveLength(1);
  stream.drain();
  await settle();
  expect(stream.written).toHaveLength(2);
  expect(stream.written[1]?.resources.map(({ name }) => name).sort()).toEqual(['a', 'b', 'w']);
});

test('a client that never reads is disconnected at the bound', async () => {
  const { stream, connection, ask } = setUp();
  stream.isOpen = false;
  ask('address');
  await settle();
  connection.push(
    new Push(new Map([['address', new Set(Array.from({ length: maxPendingNames + 1 }, (_, i) => `n${i}`))]])),
  );
  expect(stream.failure).toBe('overloaded');
});

test('a client that only asks is no longer read, until its requests are served', async () => {
  const { stream, ask } = setUp();
  stream.isOpen = false;
  for (let i = 0; i < maxQueuedRequests + 2; i++) ask('address');
  expect(stream.reading).toEqual([false]);
  stream.drain();
  await settle();
  expect(stream.reading).toEqual([false, true]);
});

test('an unknown type is answered with nothing rather than never', async () => {
  const { stream, ask } = setUp();
  ask('type.googleapis.com/unknown');
  await settle();
  expect(stream.written).toMatchObject([{ typeUrl: 'type.googleapis.com/unknown', resources: [] }]);
});
