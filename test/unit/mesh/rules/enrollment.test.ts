import { describe, expect, it } from 'vitest';
import {
  annotatedState,
  decideEnrollment,
  defaultSelectors,
  type EnrollmentRules,
  podPreferences,
} from '#mesh/rules/enrollment.js';

const rules: EnrollmentRules = {
  selectors: defaultSelectors,
  excludeNamespaces: ['kube-system'],
  systemNamespace: 'istio-system',
};
const mode = 'istio.io/dataplane-mode';
const ambient = { [mode]: 'ambient' };

describe('decideEnrollment', () => {
  const cases: [string, { pod?: Record<string, string>; ns?: Record<string, string>; enroll: boolean }][] = [
    ['no labels at all', { enroll: false }],
    ['namespace label', { ns: ambient, enroll: true }],
    ['pod label alone', { pod: ambient, enroll: true }],
    ['pod opts out of its namespace', { ns: ambient, pod: { [mode]: 'none' }, enroll: false }],
    ['pod opts in where the namespace opts out', { ns: { [mode]: 'none' }, pod: ambient, enroll: true }],
    ['an unknown mode on the pod is no opt-out', { ns: ambient, pod: { [mode]: 'other' }, enroll: true }],
    ['an unknown mode on the namespace', { ns: { [mode]: 'Ambient' }, enroll: false }],
  ];
  it.each(cases)('%s', (_, { pod, ns, enroll }) => {
    const subject = { metadata: { namespace: 'demo', ...(pod === undefined ? {} : { labels: pod }) } };
    expect(decideEnrollment(subject, ns, rules).isEnrolled).toBe(enroll);
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
  ])('never enrolls %s, and says why', (_, pod, reason) => {
    expect(decideEnrollment(pod, ambient, rules)).toEqual({
      isEnrolled: false,
      reason: expect.stringMatching(reason),
    });
  });

  it('enrolls a pod called ztunnel elsewhere', () => {
    const pod = { metadata: { namespace: 'demo', labels: { app: 'ztunnel' } } };
    expect(decideEnrollment(pod, ambient, rules).isEnrolled).toBe(true);
  });

  it('needs one selector whose both parts match', () => {
    const both = { podSelector: { matchLabels: { a: '1' } }, namespaceSelector: { matchLabels: { b: '2' } } };
    const only = { ...rules, selectors: [both] };
    const pod = { metadata: { namespace: 'demo', labels: { a: '1' } } };
    expect(decideEnrollment(pod, { b: '2' }, only).isEnrolled).toBe(true);
    expect(decideEnrollment(pod, { b: '3' }, only).isEnrolled).toBe(false);
    expect(decideEnrollment(pod, { b: '2' }, { ...rules, selectors: [] }).isEnrolled).toBe(false);
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
    const whereNobodyAnswers = podPreferences(
      { metadata: { annotations: { 'ambient.istio.io/dns-capture': 'true' } } },
      { dnsCapture: false },
    );
    expect(whereNobodyAnswers.dnsCapture, 'a pod asks for DNS that nobody answers').toBe(false);
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
