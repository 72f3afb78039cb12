import { expect, test } from 'vitest';
import { networkPolicies } from '#base/kube/network-policy.js';
import {
  authorizationPolicies,
  namespaces,
  peerAuthentications,
  pods,
  type Resource,
  services,
} from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { checkConfiguration } from '#mesh/inspect/checks/configuration-checks.js';
import { configurationOf } from './configuration.js';

const podCount = 10_000;
const perNamespace = { pods: 1_000, services: 100, policies: 100 };

/** Objects of one namespace; reading the labels of a pod is counted. */
function cluster(pods_: number, count: () => void): readonly (readonly [Resource, readonly KubeObject[]])[] {
  const spaces = Array.from({ length: pods_ / perNamespace.pods }, (_, i) => `ns-${i}`);
  const each = <T>(count_: number, make: (namespace: string, i: number) => T): T[] =>
    spaces.flatMap((namespace) => Array.from({ length: count_ }, (_, i) => make(namespace, i)));
  const object = (
    kind: string,
    namespace: string,
    name: string,
    rest: object,
    apiVersion = 'v1',
  ): KubeObject => ({ apiVersion, kind, metadata: { name, namespace }, ...rest }) as KubeObject;
  const selector = (i: number) => ({ app: `app-${i % perNamespace.services}` });
  return [
    [
      namespaces,
      spaces.map((name) => ({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name, labels: { 'istio.io/dataplane-mode': 'ambient' } },
      })),
    ],
    [
      pods,
      each(perNamespace.pods, (namespace, i) => {
        const labels = selector(i);
        const metadata = {
          name: `pod-${i}`,
          namespace,
          get labels() {
            count();
            return labels;
          },
        };
        return { apiVersion: 'v1', kind: 'Pod', metadata, spec: { containers: [] } } as KubeObject;
      }),
    ],
    [
      services,
      each(perNamespace.services, (namespace, i) =>
        object('Service', namespace, `app-${i}`, { spec: { selector: selector(i), ports: [{ port: 80 }] } }),
      ),
    ],
    [
      authorizationPolicies,
      each(perNamespace.policies, (namespace, i) =>
        object('AuthorizationPolicy', namespace, `p-${i}`, {
          spec: { selector: { matchLabels: selector(i) }, rules: [{}] },
        }),
      ),
    ],
    [
      peerAuthentications,
      each(perNamespace.policies, (namespace, i) =>
        object('PeerAuthentication', namespace, `p-${i}`, {
          spec: { selector: { matchLabels: selector(i) }, mtls: { mode: 'STRICT' } },
        }),
      ),
    ],
    [
      networkPolicies,
      each(perNamespace.policies, (namespace, i) =>
        object('NetworkPolicy', namespace, `p-${i}`, {
          spec: {
            podSelector: { matchLabels: selector(i) },
            ingress: [
              { from: [{ podSelector: { matchLabels: selector(i + 1) } }], ports: [{ port: 15008 }] },
            ],
          },
        }),
      ),
    ],
  ];
}

test('the work grows with the pods, not with pods times policies', () => {
  let reads = 0;
  const configuration = configurationOf(cluster(podCount, () => (reads += 1)));
  expect(checkConfiguration(configuration)).toEqual([]);
  // A look at every pod of a namespace for every Service and policy of it would be 4,000,000.
  expect(reads).toBeLessThan(podCount * 40);
});
