import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { DeltaDiscoveryRequestSchema } from '#mesh/xds/gen/envoy/discovery_pb.js';
import type { WireResource } from '#mesh/xds/server/resource.js';
import { Push } from '#mesh/xds/server/push.js';
import { Subscription } from '#mesh/xds/server/subscription.js';

const pushOf = (names: readonly string[]) => new Push(new Map([['type', new Set(names)]]));

const subscriber = { nodeId: 'waypoint~1~w.ns~ns', proxyType: 'waypoint', metadata: {} };
const resource = (name: string, version: string, groups: string[] = []): WireResource => ({
  name,
  version,
  aliases: [],
  groups,
  encoded: '',
});

function subscriptionTo(
  content: Map<string, WireResource>,
  o: { tracksNames: boolean; allowsOnDemand: boolean },
) {
  return new Subscription(
    {
      typeUrl: 'type',
      removesLast: true,
      ...o,
      all: () => content.values(),
      lookup: (name) => {
        const named = content.get(name);
        return named === undefined
          ? [...content.values()].filter(({ groups }) => groups.includes(name))
          : [named];
      },
    },
    subscriber,
  );
}

const request = (fields: { subscribe?: string[]; unsubscribe?: string[]; held?: Record<string, string> }) =>
  create(DeltaDiscoveryRequestSchema, {
    resourceNamesSubscribe: fields.subscribe ?? [],
    resourceNamesUnsubscribe: fields.unsubscribe ?? [],
    initialResourceVersions: fields.held ?? {},
  });

// A waypoint reconnected holding a current policy, which was therefore not sent again. When the policy was
// deleted later, the server did not know that the waypoint had it, and it stayed in force for ever.
test('a policy that a returning proxy kept is removed from it later', () => {
  const content = new Map([['ns/p', resource('ns/p', 'v1')]]);
  const subscription = subscriptionTo(content, { tracksNames: true, allowsOnDemand: false });
  expect(subscription.onRequest(request({ held: { 'ns/p': 'v1' } }), 0).answer).toEqual({
    resources: [],
    removed: [],
  });
  content.clear();
  expect(subscription.onPush(pushOf(['ns/p']))).toEqual({ resources: [], removed: ['ns/p'] });
  expect(subscription.onPush(pushOf(['ns/p']))).toBeUndefined();
});

// A workload sent because of its service changed so that it left the service: nobody asked for it any more, so
// the client was not told, and went on sending the service's traffic to it.
test('a workload that left the service it was sent for is sent once more', () => {
  const content = new Map([['w', resource('w', 'v1', ['svc'])]]);
  const subscription = subscriptionTo(content, { tracksNames: false, allowsOnDemand: true });
  expect(subscription.onRequest(request({ subscribe: ['svc'] }), 0).answer?.resources).toEqual([
    content.get('w'),
  ]);
  content.set('w', resource('w', 'v2'));
  expect(subscription.onPush(pushOf(['w']))?.resources).toEqual([content.get('w')]);
  content.clear();
  expect(subscription.onPush(pushOf(['w']))).toEqual({ resources: [], removed: ['w'] });
});

test('what only a withdrawn name stood for is not pushed any more', () => {
  const content = new Map([
    ['w', resource('w', 'v1', ['svc'])],
    ['x', resource('x', 'v1', ['svc'])],
  ]);
  const subscription = subscriptionTo(content, { tracksNames: false, allowsOnDemand: true });
  subscription.onRequest(request({ subscribe: ['svc', 'x'] }), 0);
  subscription.onRequest(request({ unsubscribe: ['svc'] }), 1);
  content.set('w', resource('w', 'v2', ['svc']));
  content.set('x', resource('x', 'v2', ['svc']));
  expect(subscription.onPush(pushOf(['w', 'x']))?.resources.map(({ name }) => name)).toEqual(['x']);
});
