import { describe, expect, test } from 'vitest';
import { analyze, parseSuppression } from '#mesh/inspect/analysis/analyze.js';
import { parseManifests } from '#mesh/inspect/configuration/manifest-files.js';

const text = `apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: { istio.io/dataplane_mode: ambient }
---
apiVersion: v1
kind: List
items:
  - apiVersion: v1
    kind: Service
    metadata: { name: web }
    spec: { selector: { app: web } }
  - apiVersion: security.istio.io/v1
    kind: AuthorizationPolicy
    metadata: { name: deny }
    spec:
      action: DENY
      targetRefs: [{ kind: Service, group: "", name: web }]
      rules: [{}]
---
apiVersion: example.com/v1
kind: Unknown
metadata: { name: ignored }
`;

function found(yaml: string, suppress: readonly string[] = []): Promise<readonly (readonly unknown[])[]> {
  return analyze({
    observer: undefined,
    meshNamespace: 'istio-system',
    namespaces: undefined,
    defaultNamespace: 'shop',
    manifests: parseManifests([{ name: 'shop.yaml', text: yaml }]),
    suppressions: suppress.flatMap((one) => parseSuppression(one) ?? []),
  }).then((findings) => findings.map(({ code, place }) => [code, place]));
}

describe('files alone', () => {
  test('mistakes are found at the line of their object; objects without a namespace get the default one', async () => {
    expect(await found(text)).toEqual([
      ['MESH1120', 'shop.yaml:14'],
      ['MESH1101', 'shop.yaml:1'],
    ]);
  });

  test('what cannot be read is a finding, and the rest is analyzed all the same', async () => {
    expect(await found(`${text}---\nfoo: [\n---\n- no object\n---\nkind: NoVersion\n`)).toEqual([
      ['MESH1100', expect.stringMatching(/^shop\.yaml:2\d$/)],
      ['MESH1100', expect.stringMatching(/^shop\.yaml:\d+$/)],
      ['MESH1100', expect.stringMatching(/^shop\.yaml:\d+$/)],
      ['MESH1120', 'shop.yaml:14'],
      ['MESH1101', 'shop.yaml:1'],
    ]);
  });

  test('a code can be left out, everywhere or at objects', async () => {
    expect(await found(text, ['MESH1120', 'MESH1101'])).toEqual([]);
    expect(await found(text, ['MESH1120=AuthorizationPolicy deny.shop', 'MESH1101=Namespace other'])).toEqual(
      [['MESH1101', 'shop.yaml:1']],
    );
    expect(await found(text, ['MESH1101=Namespace sh*'])).toEqual([['MESH1120', 'shop.yaml:14']]);
  });

  test('an object can ask for silence itself', async () => {
    const annotated = text.replace(
      '  name: shop\n',
      '  name: shop\n  annotations: { galley.istio.io/analyze-suppress: "MESH1101,MESH0000" }\n',
    );
    expect(await found(annotated)).toEqual([['MESH1120', 'shop.yaml:15']]);
  });

  test('a target that other files may hold is not called missing', async () => {
    const alone = text.replace('name: web }\n    spec', 'name: other }\n    spec');
    expect(await found(alone)).toEqual([
      ['MESH1121', 'shop.yaml:14'],
      ['MESH1101', 'shop.yaml:1'],
    ]);
    const withoutServices = text.replace('kind: Service\n', 'kind: Thing\n');
    expect(await found(withoutServices)).toEqual([['MESH1101', 'shop.yaml:1']]);
  });
});

test('what is no suppression is told from one', () => {
  expect(parseSuppression('IST0001')).toBeUndefined();
  expect(parseSuppression('MESH1101')).toMatchObject({ code: 'MESH1101', object: undefined });
});
