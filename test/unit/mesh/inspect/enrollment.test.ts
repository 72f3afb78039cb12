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

  it('has nothing to be observed before it runs', () => {
    const seen = assess({
      pod: pod(undefined, 'Pending'),
      intent: enrolled,
      witnesses: undefined,
      now,
    });
    expect(seen.missing).toEqual([]);
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
    expect(missing).toHaveLength(4);
  });
});
