import { describe, expect, test } from 'vitest';
import { defaultMeshConfig, meshConfigMap, parseMeshConfig } from '#mesh/rules/mesh-config.js';
import { ruleVectors, systemNamespace, VectorWorld } from '../../../../harness/rule-vectors.js';

type Expected = Readonly<Record<string, unknown>> & { readonly refused?: string };

describe.each(ruleVectors<Expected>('mesh-config'))('mesh options: $name', ({ given, expect: expected }) => {
  test('the rule', () => {
    const text = new VectorWorld(given).settings(meshConfigMap.name)[meshConfigMap.key] ?? '';
    const parsed = () => parseMeshConfig(text, defaultMeshConfig(systemNamespace));
    const { refused } = expected;
    if (refused === undefined) expect(parsed()).toEqual(expected);
    else
      expect(parsed).toThrow(
        expect.objectContaining({ code: 'MESH0401', message: expect.stringContaining(refused) as string }),
      );
  });
});
