import { describe, expect, test } from 'vitest';
import { applyConfiguration } from '#sandbox/apiserver/managed-fields/apply.js';
import { recordUpdate } from '#sandbox/apiserver/managed-fields/record-update.js';
import type { ApiObject } from '#sandbox/apiserver/object.js';
import { BuiltinSchemas } from '#sandbox/apiserver/schema/builtin-schema.js';

const schema = new BuiltinSchemas().get('api.apps.v1.Deployment');
const who = (manager: string) => ({ manager, apiVersion: 'apps/v1', subresource: '' });

function deployment(spec: ApiObject['spec'], metadata: Record<string, string> = {}): ApiObject {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: {
      name: 'web',
      namespace: 'default',
      uid: '',
      resourceVersion: '',
      creationTimestamp: '',
      ...metadata,
    },
    ...(spec === undefined ? {} : { spec }),
  };
}
const containers = (...list: Record<string, string>[]) => ({ template: { spec: { containers: list } } });

function apply(
  live: ApiObject | undefined,
  manager: string,
  spec: ApiObject['spec'],
  force = false,
): ApiObject {
  return applyConfiguration({ live, applied: deployment(spec), schema, who: who(manager), force });
}

describe('server-side apply', () => {
  test('two managers own different items of one keyed list', () => {
    const first = apply(undefined, 'a', containers({ name: 'x', image: '1' }));
    const both = apply(first, 'b', containers({ name: 'y', image: '2' }));
    expect(both.spec).toEqual(containers({ name: 'x', image: '1' }, { name: 'y', image: '2' }));
  });

  test('a field that its only manager stops applying goes away; a shared one stays', () => {
    const first = apply(undefined, 'a', { replicas: 2, paused: true });
    const second = apply(first, 'b', { replicas: 2 });
    expect(apply(second, 'a', {}).spec).toEqual({ replicas: 2 });
  });

  test('changing what another manager owns is a conflict that names field and manager', () => {
    const live = deployment({ replicas: 2 });
    recordUpdate(undefined, live, schema, who('scaler'));
    expect(() => apply(live, 'a', { replicas: 3 })).toThrow(
      'Apply failed with 1 conflict: conflict with "scaler" using apps/v1: .spec.replicas',
    );
    const taken = apply(live, 'a', { replicas: 3 }, true);
    expect(taken.spec).toEqual({ replicas: 3 });
    expect(taken.metadata.managedFields?.map((m) => m.manager)).toEqual(['a']);
  });

  test('an update takes the fields it changes from their owner', () => {
    const applied = apply(undefined, 'a', { replicas: 2, paused: true });
    const edited = structuredClone(applied);
    edited.spec = { replicas: 5, paused: true };
    recordUpdate(applied, edited, schema, who('kubectl-edit'));
    const fields = Object.fromEntries(
      (edited.metadata.managedFields ?? []).map((m) => [
        typeof m.manager === 'string' ? m.manager : '',
        m.fieldsV1,
      ]),
    );
    expect(fields).toEqual({
      a: { 'f:spec': { 'f:paused': {} } },
      'kubectl-edit': { 'f:spec': { 'f:replicas': {} } },
    });
  });

  test('applying the same again changes nothing, not even times', () => {
    const first = apply(undefined, 'a', containers({ name: 'x', image: '1' }));
    expect(apply(first, 'a', containers({ name: 'x', image: '1' }))).toEqual(first);
  });
});
