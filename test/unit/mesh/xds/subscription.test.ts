import { create, fromBinary } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from '#mesh/xds/gen/envoy/discovery_pb.js';
import { AddressSchema, ServiceSchema } from '#mesh/xds/gen/istio/workload_pb.js';
import {
  encodeDeltaResponse,
  encodeEntries,
  encodeResource,
  type WireResource,
} from '#mesh/xds/server/resource.js';
import { Push } from '#mesh/xds/server/push.js';
import type { ResourceSource } from '#mesh/xds/server/source.js';
import { Subscription } from '#mesh/xds/server/subscription.js';

const pushOf = (names: readonly string[]) => new Push(new Map([['type', new Set(names)]]));

const subscriber = { nodeId: 'ztunnel~1~z.ns~ns', proxyType: 'ztunnel', metadata: {} };

function resource(
  name: string,
  content = name,
  extra: { aliases?: string[]; groups?: string[] } = {},
): WireResource {
  const message = create(AddressSchema, {
    type: { case: 'service', value: create(ServiceSchema, { name: content }) },
  });
  return encodeResource({
    name,
    typeUrl: 'type',
    schema: AddressSchema,
    message,
    isVersioned: true,
    ...extra,
  });
}

/** A source whose content the test changes. */
function source(initial: WireResource[], o: Partial<ResourceSource> = {}) {
  const content = new Map(initial.map((r) => [r.name, r]));
  return {
    content,
    source: {
      typeUrl: 'type',
      tracksNames: false,
      removesLast: false,
      allowsOnDemand: true,
      all: () => content.values(),
      lookup: (name: string) => {
        const direct = content.get(name);
        return direct === undefined
          ? [...content.values()].filter((r) => r.aliases.includes(name))
          : [direct];
      },
      ...o,
    } satisfies ResourceSource,
  };
}

function request(fields: {
  subscribe?: string[];
  unsubscribe?: string[];
  held?: Record<string, string>;
  nonce?: string;
  error?: string;
}) {
  return create(DeltaDiscoveryRequestSchema, {
    resourceNamesSubscribe: fields.subscribe ?? [],
    resourceNamesUnsubscribe: fields.unsubscribe ?? [],
    initialResourceVersions: fields.held ?? {},
    responseNonce: fields.nonce ?? '',
    ...(fields.error === undefined ? {} : { errorDetail: { code: 0, message: fields.error } }),
  });
}

const names = (answer: { resources: readonly WireResource[] } | undefined) =>
  answer?.resources.map((r) => r.name);

describe('wildcard', () => {
  test('the first request is answered with everything, also with nothing', () => {
    const { source: empty } = source([]);
    expect(new Subscription(empty, subscriber).onRequest(request({}), 0)).toEqual({
      outcome: 'first',
      answer: { resources: [], removed: [] },
    });
    const { source: full } = source([resource('a'), resource('b')]);
    const first = new Subscription(full, subscriber).onRequest(request({ subscribe: ['*'] }), 0);
    expect(names(first.answer)).toEqual(['a', 'b']);
  });

  test('a returning client gets what changed and is told what is gone', () => {
    const a = resource('a');
    const { source: of } = source([a, resource('b', 'new')]);
    const held = { a: a.version, b: resource('b', 'old').version, c: 'any' };
    const { answer } = new Subscription(of, subscriber).onRequest(request({ held }), 0);
    expect(names(answer)).toEqual(['b']);
    expect(answer?.removed).toEqual(['c']);
  });

  test('a push holds the changed names only: found ones are sent, others removed', () => {
    const { source: of, content } = source([resource('a'), resource('b')]);
    const subscription = new Subscription(of, subscriber);
    subscription.onRequest(request({}), 0);
    content.delete('b');
    const answer = subscription.onPush(pushOf(['a', 'b']));
    expect(names(answer)).toEqual(['a']);
    expect(answer?.removed).toEqual(['b']);
    expect(subscription.onPush(pushOf([]))).toBeUndefined();
  });

  test('nothing is pushed before the first request', () => {
    expect(
      new Subscription(source([resource('a')]).source, subscriber).onPush(pushOf(['a'])),
    ).toBeUndefined();
  });

  test('where names are tracked, only what the client holds is removed', () => {
    const { source: of, content } = source([resource('a')], { tracksNames: true });
    const subscription = new Subscription(of, subscriber);
    subscription.onRequest(request({}), 0);
    content.delete('a');
    expect(subscription.onPush(pushOf(['a', 'never-seen']))?.removed).toEqual(['a']);
    expect(subscription.onPush(pushOf(['a']))).toBeUndefined();
  });

  test('naming something on a wildcard stream brings the complete set again', () => {
    const subscription = new Subscription(source([resource('a'), resource('b')]).source, subscriber);
    subscription.onRequest(request({}), 0);
    expect(names(subscription.onRequest(request({ subscribe: ['a'] }), 0).answer)).toEqual(['a', 'b']);
  });
});

describe('replies', () => {
  const started = () => {
    const subscription = new Subscription(source([resource('a')]).source, subscriber);
    subscription.onRequest(request({}), 0);
    subscription.sent({ nonce: 'v1-1', version: 'v1', atMs: 1 });
    return subscription;
  };

  test('an acknowledgement is recorded and not answered', () => {
    const subscription = started();
    expect(subscription.onRequest(request({ nonce: 'v1-1' }), 5)).toEqual({
      outcome: 'ack',
      answer: undefined,
    });
    expect(subscription.status).toMatchObject({ ackedNonce: 'v1-1', ackedVersion: 'v1', ackedAtMs: 5 });
  });

  test('a stale nonce changes nothing', () => {
    const subscription = started();
    subscription.sent({ nonce: 'v2-2', version: 'v2', atMs: 2 });
    expect(subscription.onRequest(request({ nonce: 'v1-1' }), 5).outcome).toBe('stale');
    expect(subscription.status.ackedNonce).toBe('');
  });

  test('a rejection is counted and remembered, never answered with a resend', () => {
    const subscription = started();
    expect(subscription.onRequest(request({ nonce: 'v1-1', error: 'a: bad' }), 5)).toEqual({
      outcome: 'nack',
      answer: undefined,
    });
    expect(subscription.status).toMatchObject({ rejectCount: 1, lastError: 'a: bad', ackedNonce: '' });
  });
});

describe('on demand', () => {
  const workload = (name: string) => resource(name, name, { aliases: [`/${name}-ip`], groups: ['svc'] });

  test('subscribing and unsubscribing * starts with nothing', () => {
    const subscription = new Subscription(source([resource('a')]).source, subscriber);
    const { answer } = subscription.onRequest(request({ subscribe: ['*'], unsubscribe: ['*'] }), 0);
    expect(answer).toEqual({ resources: [], removed: [] });
    expect(subscription.status.isWildcard).toBe(false);
    expect(subscription.onPush(pushOf(['a']))).toBeUndefined();
  });

  test('only new names are answered; unknown ones come back as removed', () => {
    const subscription = new Subscription(source([workload('w')]).source, subscriber);
    subscription.onRequest(request({ subscribe: ['*'], unsubscribe: ['*'] }), 0);
    expect(names(subscription.onRequest(request({ subscribe: ['/w-ip'] }), 0).answer)).toEqual(['w']);
    const { answer } = subscription.onRequest(request({ subscribe: ['nobody'] }), 0);
    expect(answer).toEqual({ resources: [], removed: ['nobody'] });
    expect(subscription.onRequest(request({ unsubscribe: ['nobody'] }), 0).answer).toEqual({
      resources: [],
      removed: [],
    });
  });

  test('a workload that joins a subscribed service is sent, and removed when it goes', () => {
    const { source: of, content } = source([resource('svc')]);
    const subscription = new Subscription(of, subscriber);
    subscription.onRequest(request({ subscribe: ['svc'] }), 0);
    content.set('w', workload('w'));
    expect(names(subscription.onPush(pushOf(['w'])))).toEqual(['w']);
    content.delete('w');
    expect(subscription.onPush(pushOf(['w']))?.removed).toEqual(['w']);
  });

  test('a type without on-demand treats every subscription as a wildcard', () => {
    const { source: of } = source([resource('a')], { allowsOnDemand: false });
    const { answer } = new Subscription(of, subscriber).onRequest(request({ subscribe: ['x'] }), 0);
    expect(names(answer)).toEqual(['a']);
  });
});

test('a response decodes to what was put in', () => {
  const a = resource('a', 'content', { aliases: ['/10.0.0.1'] });
  const long = resource('x'.repeat(40_000));
  const bytes = encodeDeltaResponse({
    typeUrl: 'type',
    pushVersion: 'v',
    nonce: 'n',
    encoded: encodeEntries([a, long]),
    removed: ['b'],
  });
  const decoded = fromBinary(DeltaDiscoveryResponseSchema, bytes);
  expect(decoded).toMatchObject({
    typeUrl: 'type',
    systemVersionInfo: 'v',
    nonce: 'n',
    removedResources: ['b'],
  });
  expect(decoded.resources.map(({ name }) => name)).toEqual(['a', long.name]);
  const [only] = decoded.resources;
  expect(only).toMatchObject({ name: 'a', version: a.version, aliases: ['/10.0.0.1'] });
  const address = fromBinary(AddressSchema, only?.resource?.value ?? new Uint8Array());
  expect(address.type).toMatchObject({ case: 'service', value: { name: 'content' } });
});
