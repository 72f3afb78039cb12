import { expect, it } from 'vitest';
import { optionDifferences } from '#mesh/inspect/running-options.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';

const mesh = { ...defaultMeshConfig('istio-system'), trustDomainAliases: ['old.example'] };

it('compares what a component tells, and nothing that it does not', () => {
  expect(optionDifferences({}, mesh)).toEqual([]);
  expect(optionDifferences(mesh, mesh)).toEqual([]);
  expect(optionDifferences({ trustDomain: 'cluster.local', trustDomainAliases: [] }, mesh)).toEqual([
    'trustDomainAliases is [], not ["old.example"]',
  ]);
  expect(optionDifferences({ rootNamespace: 'mesh-root' }, mesh)).toEqual([
    'rootNamespace is mesh-root, not istio-system',
  ]);
});
