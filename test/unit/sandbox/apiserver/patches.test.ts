import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ApiError } from '../../../../src/sandbox/apiserver/http/api-error.js';
import { cloneJson, equalJson, type Json } from '../../../../src/sandbox/apiserver/json.js';
import { jsonPatch } from '../../../../src/sandbox/apiserver/patch/json-patch.js';
import { mergePatch } from '../../../../src/sandbox/apiserver/patch/merge-patch.js';
import { strategicMergePatch } from '../../../../src/sandbox/apiserver/patch/strategic-merge-patch.js';
import { BuiltinSchemas } from '../../../../src/sandbox/apiserver/schema/builtin-schema.js';

const podSpec = new BuiltinSchemas().get('api.core.v1.PodSpec');

describe('strategic merge patch', () => {
  const live = {
    containers: [
      { name: 'a', image: '1', env: [{ name: 'X', value: '1' }] },
      { name: 'b', image: '2' },
    ],
    nodeSelector: { disk: 'ssd' },
  };

  test('merges list items by their key and leaves the others', () => {
    expect(
      strategicMergePatch(live, { containers: [{ name: 'a', env: [{ name: 'Y', value: '2' }] }] }, podSpec),
    ).toEqual({
      ...live,
      containers: [
        {
          name: 'a',
          image: '1',
          env: [
            { name: 'X', value: '1' },
            { name: 'Y', value: '2' },
          ],
        },
        { name: 'b', image: '2' },
      ],
    });
  });

  test('deletes and replaces by directive, and keeps the asked order', () => {
    expect(
      strategicMergePatch(live, { containers: [{ name: 'a', $patch: 'delete' }] }, podSpec),
    ).toMatchObject({
      containers: [{ name: 'b' }],
    });
    expect(
      strategicMergePatch(live, { nodeSelector: { $patch: 'replace', zone: 'x' } }, podSpec),
    ).toMatchObject({
      nodeSelector: { zone: 'x' },
    });
    const ordered = strategicMergePatch(
      live,
      { '$setElementOrder/containers': [{ name: 'b' }, { name: 'a' }] },
      podSpec,
    );
    expect((ordered as { containers: { name: string }[] }).containers.map((c) => c.name)).toEqual(['b', 'a']);
  });

  test('refuses list items without their merge key', () => {
    expect(() => strategicMergePatch(live, { containers: [{ image: 'x' }] }, podSpec)).toThrow(ApiError);
  });

  test('drops the keys that $retainKeys does not name', () => {
    const volumes = { volumes: [{ name: 'v', emptyDir: {} }] };
    const patch = { volumes: [{ name: 'v', $retainKeys: ['name', 'hostPath'], hostPath: { path: '/x' } }] };
    expect(strategicMergePatch(volumes, patch, podSpec)).toEqual({
      volumes: [{ name: 'v', hostPath: { path: '/x' } }],
    });
  });
});

describe('any patch', () => {
  test('merge patch: null removes, objects merge, the target stays as it was', () => {
    const target = { a: { b: 1, c: 2 }, d: [1] };
    expect(mergePatch(target, { a: { b: null }, d: [2] })).toEqual({ a: { c: 2 }, d: [2] });
    expect(target).toEqual({ a: { b: 1, c: 2 }, d: [1] });
  });

  test('JSON patch: a failing test and a missing path are refused', () => {
    expect(jsonPatch({ a: 1 }, [{ op: 'replace', path: '/a', value: 2 }])).toEqual({ a: 2 });
    expect(() => jsonPatch({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }])).toThrow(ApiError);
    expect(() => jsonPatch({ a: 1 }, [{ op: 'remove', path: '/x/y' }])).toThrow(ApiError);
    expect(() => jsonPatch({}, [{ op: 'add', path: '/__proto__/polluted', value: 1 }])).toThrow(ApiError);
    expect(() => jsonPatch({}, [{ op: 'add' }])).toThrow(ApiError);
  });

  test('hostile patches give a result or an ApiError, never another error, and never change the target', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (target, patch) => {
        const before = cloneJson(target as Json);
        for (const apply of [
          () => strategicMergePatch(target as Json, patch as Json, podSpec),
          () => mergePatch(target as Json, patch as Json),
          () => jsonPatch(target as Json, patch as Json),
        ]) {
          try {
            apply();
          } catch (error) {
            if (!(error instanceof ApiError)) throw error;
          }
        }
        expect(equalJson(before, target as Json)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
