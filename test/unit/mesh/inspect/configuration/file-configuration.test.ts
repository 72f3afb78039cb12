import { describe, expect, test } from 'vitest';
import { analyze } from '#mesh/inspect/analysis/analyze.js';
import { parseManifests } from '#mesh/inspect/configuration/manifest-files.js';

async function found(text: string): Promise<readonly string[]> {
  const findings = await analyze({
    observer: undefined,
    meshNamespace: 'istio-system',
    namespaces: undefined,
    defaultNamespace: 'shop',
    manifests: parseManifests([{ name: 'a.yaml', text }]),
    suppressions: [],
  });
  return findings.map(({ code, place, message }) => `${code} ${place} ${message}`);
}

const namespace = `apiVersion: v1
kind: Namespace
metadata: { name: shop, labels: { istio.io/dataplane-mode: ambient, istio.io/use-waypoint: wp } }
`;
const deployment = (labels: string, replicas = 1): string => `---
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: ${replicas}
  selector: { matchLabels: { app: web } }
  template: { metadata: { labels: ${labels} }, spec: { containers: [{ name: web }] } }
`;
const service = `---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80 }] }
`;
const waypoint = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: wp }
spec: { gatewayClassName: istio-waypoint, listeners: [{ name: mesh, port: 15008, protocol: HBONE }] }
`;

describe('workloads of files count as their pods', () => {
  test('a Service is served by a Deployment, and a waypoint of files will be ready', async () => {
    expect(await found(namespace + waypoint + deployment('{ app: web }') + service)).toEqual([]);
  });

  test('labels of the template are those that count', async () => {
    expect(await found(namespace + waypoint + deployment('{ app: other }') + service)).toEqual([
      'MESH1160 a.yaml:18 Service shop/web has no endpoints: no pod of shop has app=web',
    ]);
  });

  test('what a NetworkPolicy keeps from them is found', async () => {
    const policy = `---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: np }
spec: { podSelector: {}, ingress: [{ from: [{ podSelector: {} }], ports: [{ port: 80 }] }] }
`;
    expect(await found(namespace + waypoint + deployment('{ app: web }') + policy)).toEqual([
      expect.stringContaining(
        'MESH1140 a.yaml:18 NetworkPolicy shop/np (ingress) admits port 80 but not 15008',
      ),
    ]);
  });
});

describe('objects that are not what their kind asks for', () => {
  test.each([
    [
      'labels that are no text',
      'apiVersion: v1\nkind: Namespace\nmetadata: { name: a, labels: { v: 1 } }',
      'metadata.labels.v must be string',
    ],
    [
      'a spec that is missing',
      'apiVersion: v1\nkind: Service\nmetadata: { name: a }',
      "must have required property 'spec'",
    ],
    [
      'a list that is none',
      'apiVersion: v1\nkind: Pod\nmetadata: { name: a }\nspec: { containers: web }',
      'spec.containers must be array',
    ],
    [
      'a field of a definition',
      'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: a }\nspec: { rules: [{ from: web }] }',
      'spec.rules[0].from must be array',
    ],
    [
      'a value that is not allowed',
      'apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: { name: a }\nspec: { action: DENI }',
      'spec.action must be equal to one of the allowed values',
    ],
  ])('%s', async (_name, text, problem) => {
    expect(await found(text)).toEqual([
      expect.stringMatching(/^MESH1191 a\.yaml:1 \w+ \S+ is not what its kind asks for: /),
    ]);
    expect((await found(text))[0]).toContain(problem);
  });

  test('the place of an item of a List is its own line', async () => {
    const text =
      'apiVersion: v1\nkind: List\nitems:\n  - apiVersion: v1\n    kind: Service\n    metadata: { name: a }\n';
    expect(await found(text)).toEqual([expect.stringContaining('MESH1191 a.yaml:4 Service a ')]);
  });
});

test('what stands in a file is mended there', async () => {
  const findings = await analyze({
    observer: undefined,
    meshNamespace: 'istio-system',
    namespaces: undefined,
    defaultNamespace: 'shop',
    manifests: parseManifests([
      { name: 'a.yaml', text: namespace.replace('dataplane-mode: ambient', 'dataplane_mode: ambient') },
    ]),
    suppressions: [],
  });
  expect(findings.map(({ fix }) => fix)).toEqual([
    'In a.yaml:1, as this would do: kubectl label namespace shop istio.io/dataplane_mode- istio.io/dataplane-mode=ambient',
  ]);
});
