import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { DeltaDiscoveryRequestSchema } from '#mesh/xds/gen/envoy/discovery_pb.js';
import { Connection } from '#mesh/xds/server/connection.js';

// The writer looked at its empty queues, went idle some microtasks later, and in between took no new work: a
// request that arrived just then waited for the next push.
test.each(Array.from({ length: 16 }, (_, ticks) => ticks))(
  'a request that arrives %i microtasks after another is answered',
  async (ticks) => {
    let written = 0;
    const connection = new Connection({
      stream: {
        write: () => {
          written += 1;
          return Promise.resolve();
        },
        setReading: () => undefined,
        fail: (reason) => {
          throw new Error(reason);
        },
      },
      subscriber: { nodeId: 'ztunnel~1~z.ns~ns', proxyType: 'ztunnel', metadata: {} },
      sources: ['a', 'b'].map((typeUrl) => ({
        typeUrl,
        tracksNames: false,
        removesLast: false,
        allowsOnDemand: false,
        all: () => [],
        lookup: () => [],
      })),
      events: { request: () => undefined, sent: () => undefined },
      currentVersion: () => '1',
      now: () => 0,
    });
    connection.receive(create(DeltaDiscoveryRequestSchema, { typeUrl: 'a' }));
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
    connection.receive(create(DeltaDiscoveryRequestSchema, { typeUrl: 'b' }));
    await new Promise((resolve) => setImmediate(resolve));
    expect(written).toBe(2);
  },
);
