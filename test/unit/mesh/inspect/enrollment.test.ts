import { describe, expect, it } from 'vitest';
import type { PodCapture } from '#mesh/inspect/capture-report.js';
import { assessEnrollment, type NodeWitnesses } from '#mesh/inspect/enrollment.js';
import type { ZtunnelDump } from '#mesh/inspect/ztunnel-dump.js';
import type { Pod } from '#base/kube/types.js';

const now = Date.parse('2030-01-01T00:00:00Z');
const identity = 'spiffe://cluster.local/ns/shop/sa/cart';
const enrolled = { isEnrolled: true, reason: 'namespace label' };
const outside = { isEnrolled: false, reason: 'no label' };

function pod(annotation: string | undefined, phase = 'Running'): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'cart-1',
      namespace: 'shop',
      uid: 'u1',
      ...(annotation === undefined ? {} : { annotations: { 'ambient.istio.io/redirection': annotation } }),
    },
    spec: { nodeName: 'n1', serviceAccountName: 'cart', containers: [] },
    status: { phase },
  };
}

function capture(isIn: boolean): PodCapture {
  return {
    uid: 'u1',
    name: 'cart-1',
    namespace: 'shop',
    ips: [],
    state: isIn ? 'enabled' : 'none',
    netnsInode: '1',
    rules: { ok: isIn, missing: isIn ? [] : ['-A ISTIO_OUTPUT'] },
    listeners: { '15001': isIn, '15006': isIn, '15008': isIn },
  };
}

function dump(of: { state?: string; expires?: string }): ZtunnelDump {
  return {
    workloads: [],
    services: [],
    policies: [],
    refusedAttempts: [],
    certificates:
      of.expires === undefined
        ? []
        : [
            {
              identity,
              state: 'Available',
              certChain: [
                { serialNumber: '1', validFrom: '2029-12-31T00:00:00Z', expirationTime: of.expires },
              ],
            },
          ],
    workloadState: of.state === undefined ? {} : { u1: { state: of.state } },
    raw: {},
  };
}

const assess = (of: Omit<Parameters<typeof assessEnrollment>[0], 'trustDomain'>) =>
  assessEnrollment({ trustDomain: 'cluster.local', ...of });

const sound: NodeWitnesses = {
  captures: new Map([['shop/cart-1', capture(true)]]),
  dump: dump({ state: 'Up', expires: '2030-01-02T00:00:00Z' }),
};
const free: NodeWitnesses = { captures: new Map([['shop/cart-1', capture(false)]]), dump: dump({}) };

describe('a pod that should be in the mesh', () => {
  it('is proven by annotation, rules, listeners, proxy and certificate together', () => {
    const seen = assess({ pod: pod('enabled'), intent: enrolled, witnesses: sound, now });
    expect(seen).toMatchObject({
      missing: [],
      redirection: 'captured',
      ztunnel: 'Up',
      certificate: 'Available',
    });
  });

  it.each<[string, string | undefined, NodeWitnesses, string]>([
    ['the annotation is pending', 'pending', sound, 'is pending'],
    ['the annotation is absent', undefined, sound, 'is absent'],
    ['the rules are not there', 'enabled', { ...sound, captures: free.captures }, '-A ISTIO_OUTPUT'],
    ['the agent does not know it', 'enabled', { ...sound, captures: new Map() }, 'does not know'],
    [
      'the agent is silent',
      'enabled',
      { ...sound, captures: undefined, captureError: 'connection refused' },
      'connection refused',
    ],
    [
      'the proxy does not have it',
      'enabled',
      { ...sound, dump: dump({ expires: '2030-01-02T00:00:00Z' }) },
      'not at all',
    ],
    [
      'the proxy is silent',
      'enabled',
      { ...sound, dump: undefined, dumpError: 'no running ztunnel' },
      'no running ztunnel',
    ],
    ['there is no certificate', 'enabled', { ...sound, dump: dump({ state: 'Up' }) }, 'Absent'],
    [
      'the certificate has expired',
      'enabled',
      { ...sound, dump: dump({ state: 'Up', expires: '2029-12-31T12:00:00Z' }) },
      identity,
    ],
  ])('is not proven when %s', (_, annotation, witnesses, text) => {
    const { missing } = assess({ pod: pod(annotation), intent: enrolled, witnesses, now });
    expect(missing.join('\n')).toContain(text);
  });

  it('is called captured only when no witness objects', () => {
    const proxyless = { ...sound, dump: dump({}) };
    const seen = assess({ pod: pod('enabled'), intent: enrolled, witnesses: proxyless, now });
    expect(seen).toMatchObject({ redirection: 'captured', observed: 'partly' });
  });
});

describe('a pod that is pending', () => {
  const unscheduled: Pod = {
    ...pod(undefined, 'Pending'),
    status: {
      phase: 'Pending',
      conditions: [
        { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/2 nodes fit' },
      ],
    },
  };

  it('has not started without a node, and is not held against anybody', () => {
    const seen = assess({ pod: unscheduled, intent: enrolled, witnesses: undefined, now });
    expect(seen).toMatchObject({
      missing: [],
      observed: 'notStarted',
      notStarted: { why: 'not scheduled: 0/2 nodes fit', isHeldUp: true },
    });
  });

  it('has not started while the agent finds no network namespace', () => {
    const unseen = { ...capture(false), netnsInode: null, error: 'its network namespace was not found' };
    for (const captures of [new Map([['shop/cart-1', unseen]]), new Map()]) {
      const witnesses = { captures, dump: dump({}) };
      const seen = assess({ pod: pod(undefined, 'Pending'), intent: enrolled, witnesses, now });
      expect(seen).toMatchObject({ missing: [], observed: 'notStarted', notStarted: { isHeldUp: false } });
    }
  });

  it('is judged by its network namespace once it has one: init containers run in the mesh', () => {
    const pending = pod('enabled', 'Pending');
    expect(assess({ pod: pending, intent: enrolled, witnesses: sound, now })).toMatchObject({
      missing: [],
      observed: 'captured',
    });
    const leaking = assess({ pod: pending, intent: enrolled, witnesses: free, now });
    expect(leaking.observed).toBe('free');
    expect(leaking.missing.join()).toContain('-A ISTIO_OUTPUT');
  });

  it('is judged by its containers when the agent is silent', () => {
    const silent = { captures: undefined, captureError: 'connection refused', dump: undefined };
    const running = {
      name: 'init',
      image: '',
      imageID: '',
      state: { running: {} },
      ready: false,
      restartCount: 0,
    };
    const initializing: Pod = {
      ...pod('enabled', 'Pending'),
      status: { phase: 'Pending', initContainerStatuses: [running] },
    };
    const of = (p: Pod) => assess({ pod: p, intent: enrolled, witnesses: silent, now });
    expect(of(initializing)).toMatchObject({ observed: 'unknown', unobserved: 'connection refused' });
    expect(of(initializing).missing.join()).toContain('connection refused');
    expect(of(pod(undefined, 'Pending'))).toMatchObject({ observed: 'notStarted', missing: [] });
  });
});

describe('a pod that should be outside', () => {
  it('is free when nothing of the mesh is seen', () => {
    const seen = assess({ pod: pod(undefined), intent: outside, witnesses: free, now });
    expect(seen).toMatchObject({ missing: [], redirection: 'free' });
  });

  it('is free when something of its own listens where ztunnel would, as in a waypoint', () => {
    const own = { ...capture(false), listeners: { '15001': false, '15006': false, '15008': true } };
    const witnesses = { captures: new Map([['shop/cart-1', own]]), dump: dump({}) };
    const seen = assess({ pod: pod(undefined), intent: outside, witnesses, now });
    expect(seen).toMatchObject({ missing: [], redirection: 'free' });
  });

  it('is not free while anything is left', () => {
    const { missing } = assess({ pod: pod('enabled'), intent: outside, witnesses: sound, now });
    expect(missing).toHaveLength(5);
  });

  it.each<[string, PodCapture, Partial<NodeWitnesses>]>([
    [
      'one rule',
      { ...capture(false), rules: { ok: false, missing: ['-A ISTIO_OUTPUT'], presentCount: 1 } },
      {},
    ],
    ["the agent's record", { ...capture(false), state: 'pending' }, {}],
    ['the proxy', capture(false), { dump: dump({ state: 'Pending' }) }],
  ])('is not called free while %s is left', (_, seen, more) => {
    const witnesses = { captures: new Map([['shop/cart-1', seen]]), dump: dump({}), ...more };
    const found = assess({ pod: pod(undefined), intent: outside, witnesses, now });
    expect(found.missing).toHaveLength(1);
    expect(found.observed).toBe('partly');
  });

  it('is not known to be free when the agent is silent', () => {
    const silent = { captures: undefined, captureError: 'connection refused', dump: undefined };
    const seen = assess({ pod: pod(undefined), intent: outside, witnesses: silent, now });
    expect(seen).toMatchObject({ observed: 'unknown', unobserved: 'connection refused' });
    const onHost = { ...pod(undefined), spec: { ...pod(undefined).spec, hostNetwork: true } };
    expect(assess({ pod: onHost, intent: outside, witnesses: silent, now })).toMatchObject({
      observed: 'free',
      missing: [],
    });
  });
});
