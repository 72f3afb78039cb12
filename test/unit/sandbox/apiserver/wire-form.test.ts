import { describe, expect, test } from 'vitest';
import type { JsonObject } from '#sandbox/base/json.js';
import { BuiltinSchemas } from '#sandbox/apiserver/schema/builtin-schema.js';
import { dropEmpty, toWireForm } from '#sandbox/apiserver/schema/wire-form.js';

const schemas = new BuiltinSchemas();

function formed(type: string, value: JsonObject): JsonObject {
  toWireForm(value, schemas.get(type));
  return value;
}

describe('the form of built-in objects on the wire', () => {
  test('zeros and empty collections are left out, structs and required scalars written', () => {
    const container = formed('api.core.v1.Container', {
      name: 'c',
      args: [],
      tty: false,
      stdin: true,
      env: null,
    });
    expect(container).toEqual({ name: 'c', stdin: true, resources: {} });
    expect(formed('api.core.v1.ContainerPort', {})).toEqual({ containerPort: 0 });
    expect(formed('api.autoscaling.v2.HorizontalPodAutoscalerStatus', {})).toEqual({
      desiredReplicas: 0,
      currentMetrics: null,
    });
  });

  test('optional zeros stay, and optional structs are not invented', () => {
    expect(formed('api.apps.v1.ReplicaSetSpec', { replicas: 0, selector: {} })).toMatchObject({
      replicas: 0,
    });
    expect(formed('api.core.v1.Volume', { name: 'v', emptyDir: {} })).toEqual({ name: 'v', emptyDir: {} });
  });

  test('quantities and times take their one spelling', () => {
    const resources = formed('api.core.v1.ResourceRequirements', {
      limits: { cpu: 0.5, memory: '1024Mi', 'example.com/x': '1e3' },
    });
    expect(resources).toEqual({ limits: { cpu: '500m', memory: '1Gi', 'example.com/x': '1e3' } });
    const lease = formed('api.coordination.v1.LeaseSpec', { renewTime: '2024-01-01T01:00:00.500000+01:00' });
    expect(lease).toEqual({ renewTime: '2024-01-01T00:00:00.500000Z' });
  });

  test('it is idempotent, and before defaulting nothing is added', () => {
    const once = formed('api.core.v1.PodSpec', { containers: [{ name: 'c' }] });
    expect(formed('api.core.v1.PodSpec', structuredClone(once))).toEqual(once);
    const draft: JsonObject = { limitResponse: { queuing: {} } };
    dropEmpty(draft, schemas.get('api.flowcontrol.v1.LimitedPriorityLevelConfiguration'));
    expect(draft).toEqual({ limitResponse: { queuing: {} } });
  });
});
