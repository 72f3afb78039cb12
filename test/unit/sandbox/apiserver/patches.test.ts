import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MalformedPatch, PatchNotApplicable } from '#sandbox/apiserver/patch/patch-error.js';
import { cloneJson, equalJson, type Json } from '#sandbox/base/json.js';
import { jsonPatch } from '#sandbox/apiserver/patch/json-patch.js';
import { mergePatch } from '#sandbox/apiserver/patch/merge-patch.js';
import { strategicMergePatch } from '#sandbox/apiserver/patch/strategic-merge-patch.js';
import { BuiltinSchemas } from '#sandbox/apiserver/schema/builtin-schema.js';

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
            // New items go first when the patch gives no order.
            { name: 'Y', value: '2' },
            { name: 'X', value: '1' },
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
    expect(() => strategicMergePatch(live, { containers: [{ image: 'x' }] }, podSpec)).toThrow(
      MalformedPatch,
    );
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

  test('JSON patch: a failing test and a missing path do not apply', () => {
    expect(jsonPatch({ a: 1 }, [{ op: 'replace', path: '/a', value: 2 }])).toEqual({ a: 2 });
    expect(() => jsonPatch({ a: 1 }, [{ op: 'test', path: '/a', value: 2 }])).toThrow(PatchNotApplicable);
    expect(() => jsonPatch({ a: 1 }, [{ op: 'remove', path: '/x/y' }])).toThrow(PatchNotApplicable);
    expect(() => jsonPatch({}, [{ op: 'add' }])).toThrow(PatchNotApplicable);
    expect(() => jsonPatch({}, [1])).toThrow(MalformedPatch);
  });

  test('JSON patch: what Kubernetes adds to the standard', () => {
    expect(jsonPatch({ a: {} }, [{ op: 'replace', path: '/a/b', value: 1 }])).toEqual({ a: { b: 1 } });
    expect(jsonPatch({ a: {} }, [{ op: 'test', path: '/a/b', value: null }])).toEqual({ a: {} });
    expect(jsonPatch({ a: {} }, [{ op: 'copy', from: '/a/b', path: '/c' }])).toEqual({ a: {}, c: null });
  });

  test('JSON patch: no path leads out of the document', () => {
    const patched = jsonPatch({}, [{ op: 'add', path: '/__proto__', value: { polluted: 1 } }]);
    expect(Object.hasOwn({}, 'polluted') || 'polluted' in {}).toBe(false);
    expect(JSON.stringify(patched)).toBe('{"__proto__":{"polluted":1}}');
    expect(() => jsonPatch({}, [{ op: 'add', path: '/constructor/prototype/x', value: 1 }])).toThrow(
      PatchNotApplicable,
    );
  });

  test('JSON patch: copies of copies are bounded', () => {
    const doubling = Array.from({ length: 40 }, (_, i) => ({ op: 'copy', from: '', path: `/${i}` }));
    expect(() => jsonPatch({ a: 'x'.repeat(1000) }, doubling)).toThrow(PatchNotApplicable);
  });

  test('hostile patches give a result or a refusal, never another error, and never change the target', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (target, patch) => {
        const before = cloneJson(target as Json);
        for (const apply of [
          () => strategicMergePatch(target as Json, patch as Json, podSpec),
          () => mergePatch(target as Json, patch as Json),
          () => jsonPatch(target as Json, Array.isArray(patch) ? (patch as Json[]) : []),
        ]) {
          try {
            apply();
          } catch (error) {
            if (!(error instanceof PatchNotApplicable || error instanceof MalformedPatch)) throw error;
          }
        }
        expect(equalJson(before, target as Json)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
