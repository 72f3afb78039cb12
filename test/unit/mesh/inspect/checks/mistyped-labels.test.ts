import { expect, test } from 'vitest';
import { namespaces } from '#base/kube/resource.js';
import type { KubeObject } from '#base/kube/types.js';
import { mistypedLabels } from '#mesh/inspect/checks/mistyped-labels.js';
import { configurationOf } from './configuration.js';

function namespace(metadata: Partial<KubeObject['metadata']>): KubeObject {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', ...metadata } };
}

function found(
  metadata: Partial<KubeObject['metadata']>,
): readonly (readonly [string, string | undefined])[] {
  const configuration = configurationOf([[namespaces, [namespace(metadata)]]]);
  return mistypedLabels.run(configuration).map(({ code, fix }) => [code, fix] as const);
}

test('a misspelled label is told with the one that was meant', () => {
  expect(found({ labels: { 'istio.io/dataplane_mode': 'ambient' } })).toEqual([
    ['MESH1101', 'kubectl label namespace shop istio.io/dataplane_mode- istio.io/dataplane-mode=ambient'],
  ]);
});

test.each([
  'dataplane-mode',
  'ambient.istio.io/dataplane-mode',
  'istio.com/dataplane-mode',
  'Istio.io/Dataplane-Mode',
])('a name with another prefix, or none, is told: %s', (key) => {
  expect(found({ labels: { [key]: 'ambient' } })).toEqual([
    ['MESH1101', `kubectl label namespace shop ${key}- istio.io/dataplane-mode=ambient`],
  ]);
});

test('a value in the wrong case is told', () => {
  expect(found({ labels: { 'istio.io/dataplane-mode': 'Ambient' } })).toEqual([
    ['MESH1102', 'kubectl label namespace shop --overwrite istio.io/dataplane-mode=ambient'],
  ]);
});

test('a label written as an annotation is told', () => {
  expect(found({ annotations: { 'istio.io/use-waypoint': 'waypoint' } })).toEqual([
    ['MESH1103', 'kubectl label namespace shop istio.io/use-waypoint=waypoint'],
  ]);
});

test('labels of the mesh as they should be, and those of others, are fine', () => {
  const labels = {
    'istio.io/dataplane-mode': 'ambient',
    'istio.io/use-waypoint': 'waypoint',
    'istio.io/use-waypoint-namespace': 'infra',
    'istio.io/rev': 'default',
    'istio-injection': 'disabled',
    'kubernetes.io/metadata.name': 'shop',
    'example.com/dataplane-mode': 'x',
  };
  expect(found({ labels, annotations: { 'ambient.istio.io/redirection': 'enabled' } })).toEqual([]);
});
