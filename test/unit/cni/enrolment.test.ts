import { describe, expect, it } from 'vitest';
import {
  annotatedState,
  decideEnrolment,
  defaultSelectors,
  type EnrolmentRules,
  podPreferences,
} from '../../../src/cni/enrolment.js';

const rules: EnrolmentRules = {
  selectors: defaultSelectors,
  excludeNamespaces: ['kube-system'],
  systemNamespace: 'istio-system',
};
const mode = 'istio.io/dataplane-mode';
const ambient = { [mode]: 'ambient' };

describe('decideEnrolment', () => {
  const cases: [string, { pod?: Record<string, string>; ns?: Record<string, string>; enrol: boolean }][] = [
    ['no labels at all', { enrol: false }],
    ['namespace label', { ns: ambient, enrol: true }],
    ['pod label alone', { pod: ambient, enrol: true }],
    ['pod opts out of its namespace', { ns: ambient, pod: { [mode]: 'none' }, enrol: false }],
    ['pod opts in where the namespace opts out', { ns: { [mode]: 'none' }, pod: ambient, enrol: true }],
    ['an unknown mode on the pod is no opt-out', { ns: ambient, pod: { [mode]: 'other' }, enrol: true }],
    ['an unknown mode on the namespace', { ns: { [mode]: 'Ambient' }, enrol: false }],
  ];
  it.each(cases)('%s', (_, { pod, ns, enrol }) => {
    const subject = { metadata: { namespace: 'demo', ...(pod === undefined ? {} : { labels: pod }) } };
    expect(decideEnrolment(subject, ns, rules).enrol).toBe(enrol);
  });

  it.each([
    ['hostNetwork', { metadata: { namespace: 'demo' }, spec: { hostNetwork: true } }, /network of its node/],
    ['an excluded namespace', { metadata: { namespace: 'kube-system', labels: ambient } }, /excluded/],
    [
      'a sidecar',
      { metadata: { namespace: 'demo', annotations: { 'sidecar.istio.io/status': '{}' } } },
      /sidecar/,
    ],
    [
      'ztunnel',
      { metadata: { namespace: 'istio-system', labels: { app: 'ztunnel', ...ambient } } },
      /ztunnel/,
    ],
  ])('never enrols %s, and says why', (_, pod, reason) => {
    expect(decideEnrolment(pod, ambient, rules)).toEqual({
      enrol: false,
      reason: expect.stringMatching(reason),
    });
  });

  it('enrols a pod called ztunnel elsewhere', () => {
    const pod = { metadata: { namespace: 'demo', labels: { app: 'ztunnel' } } };
    expect(decideEnrolment(pod, ambient, rules).enrol).toBe(true);
  });

  it('needs one selector whose both parts match', () => {
    const both = { podSelector: { matchLabels: { a: '1' } }, namespaceSelector: { matchLabels: { b: '2' } } };
    const only = { ...rules, selectors: [both] };
    const pod = { metadata: { namespace: 'demo', labels: { a: '1' } } };
    expect(decideEnrolment(pod, { b: '2' }, only).enrol).toBe(true);
    expect(decideEnrolment(pod, { b: '3' }, only).enrol).toBe(false);
    expect(decideEnrolment(pod, { b: '2' }, { ...rules, selectors: [] }).enrol).toBe(false);
  });
});

describe('annotations', () => {
  it('reads the recorded state and ignores other values', () => {
    const state = (value: string) =>
      annotatedState({ metadata: { annotations: { 'ambient.istio.io/redirection': value } } });
    expect([state('enabled'), state('pending'), state('yes')]).toEqual(['enabled', 'pending', undefined]);
  });

  it('lets a pod override DNS capture and inbound capture', () => {
    const of = (annotations: Record<string, string>) =>
      podPreferences({ metadata: { annotations } }, { dnsCapture: true });
    expect(of({})).toEqual({ dnsCapture: true, bypassInbound: false, virtualInterfaces: [] });
    expect(of({ 'ambient.istio.io/dns-capture': 'false' }).dnsCapture).toBe(false);
    expect(of({ 'ambient.istio.io/dns-capture': 'maybe' }).dnsCapture).toBe(true);
    expect(of({ 'ambient.istio.io/bypass-inbound-capture': 'true' }).bypassInbound).toBe(true);
  });

  it('takes interface names only: anything else could add words to a rule', () => {
    const annotations = {
      'istio.io/reroute-virtual-interfaces': 'tap0, k6t-eth0,-j ACCEPT,a b,,averyveryverylongname',
    };
    expect(podPreferences({ metadata: { annotations } }, { dnsCapture: false }).virtualInterfaces).toEqual([
      'tap0',
      'k6t-eth0',
    ]);
  });
});
