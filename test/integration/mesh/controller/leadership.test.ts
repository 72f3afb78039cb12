import { afterAll, beforeAll, expect, test } from 'vitest';
import { runAsLeader } from '#mesh/controller/leadership.js';
import { KubeClient } from '#base/kube/client.js';
import * as resources from '#base/kube/resource.js';
import type { Lease } from '#base/kube/types.js';
import { createLogger, setLogLevel } from '#base/telemetry/log.js';
import { ApiUnderTest, eventually } from '../../sandbox/apiserver/api-under-test.js';

let api: ApiUnderTest;
let client: KubeClient;

beforeAll(async () => {
  setLogLevel('error');
  api = await ApiUnderTest.start();
  client = await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig });
});

afterAll(async () => {
  client?.close();
  await api?.stop();
});

/** A replica that notes when its duty starts and ends. */
function replica(lease: string, identity: string) {
  const stop = new AbortController();
  const replicaState = { isLeading: false, terms: 0 };
  const running = runAsLeader(
    {
      client,
      log: createLogger('leadership-test'),
      namespace: 'default',
      name: lease,
      identity,
      lead: async (signal) => {
        replicaState.isLeading = true;
        replicaState.terms += 1;
        await new Promise<void>((resolve) => {
          if (signal.aborted) resolve();
          else signal.addEventListener('abort', () => resolve(), { once: true });
        });
        replicaState.isLeading = false;
      },
    },
    stop.signal,
  );
  const end = async () => {
    stop.abort();
    await running;
  };
  return { state: replicaState, end };
}

const holderOf = async (name: string) =>
  (await client.get<Lease>({ resource: resources.leases, namespace: 'default', name })).spec?.holderIdentity;

test('one replica leads; the next takes over when it stops, without waiting for the lease to run out', async () => {
  const [a, b] = [replica('duty', 'a'), replica('duty', 'b')];
  await eventually(async () => a.state.isLeading || b.state.isLeading);
  const [first, second] = a.state.isLeading ? [a, b] : [b, a];
  expect(second.state.isLeading).toBe(false);
  await first.end();
  expect(first.state.isLeading).toBe(false);
  await eventually(async () => second.state.isLeading, 6_000);
  await second.end();
  expect(await holderOf('duty')).toBe('');
});

test('a restarted replica resumes the lease it still holds at once', async () => {
  await client.create(
    resources.leases,
    {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { namespace: 'default', name: 'crashed' },
      spec: { holderIdentity: 'istiod-1', leaseDurationSeconds: 600, leaseTransitions: 4 },
    },
    { namespace: 'default' },
  );
  const stranger = replica('crashed', 'istiod-2');
  const restarted = replica('crashed', 'istiod-1');
  await eventually(async () => restarted.state.isLeading);
  expect(stranger.state.terms).toBe(0);
  await restarted.end();
  await stranger.end();
});

test('a leader whose lease is in other hands stops at its next renewal', async () => {
  const deposed = replica('taken', 'a');
  await eventually(async () => deposed.state.isLeading);
  const ref = { resource: resources.leases, namespace: 'default', name: 'taken' };
  const lease = await client.get<Lease>(ref);
  await client.update(ref, { ...lease, spec: { ...lease.spec, holderIdentity: 'b' } });
  await eventually(async () => !deposed.state.isLeading, 7_000);
  expect(await holderOf('taken')).toBe('b');
  expect(deposed.state.terms).toBe(1);
  await deposed.end();
  expect(await holderOf('taken')).toBe('b');
});
