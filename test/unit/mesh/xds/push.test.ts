import { create, fromBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#mesh/xds/gen/envoy/discovery_pb.js';
import { AddressSchema, ServiceSchema } from '#mesh/xds/gen/istio/workload_pb.js';
import { Connection } from '#mesh/xds/server/connection.js';
import { CompleteStates, Push } from '#mesh/xds/server/push.js';
import { encodeResource, type WireResource } from '#mesh/xds/server/resource.js';
import { oneOrNone, type ResourceSource } from '#mesh/xds/server/source.js';
import { Subscription } from '#mesh/xds/server/subscription.js';
import { WriteBudget } from '#mesh/xds/server/write-budget.js';

const subscriber = { nodeId: 'ztunnel~1~z.ns~ns', proxyType: 'ztunnel', metadata: {} };

function resource(name: string, content = name): WireResource {
  return encodeResource({
    name,
    typeUrl: 'type',
    schema: AddressSchema,
    message: create(AddressSchema, {
      type: { case: 'service', value: create(ServiceSchema, { name: content }) },
    }),
    isVersioned: true,
  });
}

/** A source that is the same for all, and counts what is asked of it. */
class SharedSource implements ResourceSource {
  readonly typeUrl = 'type';
  readonly removesLast = false;
  readonly allowsOnDemand = true;
  readonly tracksNames: boolean;
  readonly content = new Map<string, WireResource>();
  finds = 0;
  alls = 0;

  constructor(tracksNames = false) {
    this.tracksNames = tracksNames;
  }

  all(): Iterable<WireResource> {
    this.alls += 1;
    return this.content.values();
  }

  find(name: string): WireResource | undefined {
    this.finds += 1;
    return this.content.get(name);
  }

  lookup(name: string): readonly WireResource[] {
    return oneOrNone(this.content.get(name));
  }
}

const request = (fields: { subscribe?: string[] } = {}) =>
  create(DeltaDiscoveryRequestSchema, { typeUrl: 'type', resourceNamesSubscribe: fields.subscribe ?? [] });

test('a push is looked up and encoded once for all wildcard subscribers', () => {
  const source = new SharedSource();
  const subscriptions = Array.from({ length: 3 }, () => new Subscription(source, subscriber));
  for (const subscription of subscriptions) subscription.onRequest(request(), 0);
  source.content.set('a', resource('a'));
  const push = new Push(new Map([['type', new Set(['a', 'gone'])]]));
  const answers = subscriptions.map((subscription) => subscription.onPush(push));
  expect(source.finds).toBe(2);
  for (const answer of answers) {
    expect(answer).toMatchObject({ resources: [{ name: 'a' }], removed: ['gone'] });
    expect(answer?.encoded).toBe(answers[0]?.encoded);
  }
});

test('who is told of removals only if it holds the name: each its own', () => {
  const source = new SharedSource(true);
  source.content.set('a', resource('a'));
  const early = new Subscription(source, subscriber);
  early.onRequest(request(), 0);
  source.content.clear();
  const late = new Subscription(source, subscriber);
  late.onRequest(request(), 0);
  const push = new Push(new Map([['type', new Set(['a'])]]));
  expect(early.onPush(push)).toMatchObject({ resources: [], removed: ['a'] });
  expect(late.onPush(push)).toBeUndefined();
});

test('the complete state is collected and encoded once for all that come with nothing, until it changes', () => {
  const source = new SharedSource();
  source.content.set('a', resource('a'));
  let version = '1';
  const complete = new CompleteStates(() => version);
  const come = () => new Subscription(source, subscriber, complete).onRequest(request(), 0).answer;
  const first = come();
  expect(first?.resources.map(({ name }) => name)).toEqual(['a']);
  expect(come()?.encoded).toBe(first?.encoded);
  expect(source.alls).toBe(1);
  source.content.set('b', resource('b'));
  version = '2';
  expect(come()?.resources.map(({ name }) => name)).toEqual(['a', 'b']);
});

test('however changes, slow clients and late comers mix: every client ends with what there is', async () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('put' as const),
      name: fc.constantFrom('a', 'b', 'c'),
      content: fc.nat(3),
    }),
    fc.record({ kind: fc.constant('remove' as const), name: fc.constantFrom('a', 'b', 'c') }),
    fc.record({ kind: fc.constant('connect' as const), onDemand: fc.boolean() }),
    fc.record({ kind: fc.constant('stall' as const), client: fc.nat(3) }),
    fc.record({ kind: fc.constant('read' as const), client: fc.nat(3) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.array(step, { maxLength: 40 }), async (tracksNames, steps) => {
      const source = new SharedSource(tracksNames);
      let version = 0;
      const shared = { complete: new CompleteStates(() => String(version)), budget: new WriteBudget() };
      const clients: {
        held: Map<string, string>;
        onDemand: boolean;
        resume: () => void;
        stall: () => void;
        push: (p: Push) => void;
      }[] = [];
      const connect = (onDemand: boolean) => {
        const held = new Map<string, string>();
        let isOpen = true;
        let waiting: (() => void)[] = [];
        const connection = new Connection({
          stream: {
            write: (bytes) => {
              const response = fromBinary(DeltaDiscoveryResponseSchema, bytes);
              for (const { name, version: v } of response.resources) held.set(name, v);
              for (const name of response.removedResources) held.delete(name);
              return isOpen ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve));
            },
            setReading: () => undefined,
            fail: (reason) => {
              throw new Error(reason);
            },
          },
          subscriber,
          sources: [source],
          events: { request: () => undefined, sent: () => undefined },
          currentVersion: () => String(version),
          now: () => 0,
          shared,
        });
        connection.receive(request(onDemand ? { subscribe: ['a'] } : {}));
        clients.push({
          held,
          onDemand,
          push: (push) => connection.push(push),
          stall: () => {
            isOpen = false;
          },
          resume: () => {
            isOpen = true;
            for (const resolve of waiting) resolve();
            waiting = [];
          },
        });
      };
      for (const { kind, ...of } of steps) {
        if (kind === 'connect') connect((of as { onDemand: boolean }).onDemand);
        else if (kind === 'stall') clients[(of as { client: number }).client]?.stall();
        else if (kind === 'read') clients[(of as { client: number }).client]?.resume();
        else {
          const { name, content } = of as { name: string; content?: number };
          if (content === undefined) source.content.delete(name);
          else source.content.set(name, resource(name, String(content)));
          version += 1;
          const push = new Push(new Map([['type', new Set([name])]]));
          for (const client of clients) client.push(push);
        }
        await Promise.resolve();
      }
      for (const client of clients) client.resume();
      await new Promise((resolve) => setImmediate(resolve));
      const expected = new Map(Array.from(source.content, ([name, { version: v }]) => [name, v]));
      for (const { held, onDemand } of clients) {
        const wanted = onDemand ? [...expected].filter(([name]) => name === 'a') : [...expected];
        expect(new Map(held)).toEqual(new Map(wanted));
      }
    }),
    { numRuns: 200 },
  );
});

test('large responses wait for room, in order; small ones do not, and one always fits', async () => {
  const budget = new WriteBudget();
  const done: string[] = [];
  const finish: Record<string, () => void> = {};
  const spend = (name: string, megabytes: number) =>
    budget.spend(megabytes * 1024 * 1024, () => {
      done.push(name);
      return new Promise((resolve) => {
        finish[name] = resolve;
      });
    });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  void spend('huge', 100);
  void spend('second', 40);
  void spend('third', 20);
  void spend('fourth', 20);
  void spend('small', 0.01);
  await settle();
  expect(done).toEqual(['huge', 'small']);
  finish['huge']?.();
  await settle();
  expect(done).toEqual(['huge', 'small', 'second', 'third']);
  finish['third']?.();
  await settle();
  expect(done).toEqual(['huge', 'small', 'second', 'third', 'fourth']);
});
