import { describe, expect, test } from 'vitest';
import { readAgentConfig } from '#mesh/cni/config.js';
import { decideEnrollment, type EnrollmentDecision } from '#mesh/rules/enrollment.js';
import { enrollmentConfigMap } from '#mesh/rules/enrollment-config.js';
import { ruleVectors, systemNamespace, VectorWorld } from '../../../../harness/rule-vectors.js';

interface Expected {
  readonly isEnrolled: boolean;
  /** In the words of the decision. */
  readonly reason?: string;
}

describe.each(ruleVectors<Expected>('enrollment'))('enrollment: $name', ({ given, expect: expected }) => {
  const world = new VectorWorld(given);
  const { pod } = world;
  const labels = world.namespaceLabels(pod.metadata.namespace ?? '');
  const wanted: EnrollmentDecision = {
    isEnrolled: expected.isEnrolled,
    reason: expect.stringContaining(expected.reason ?? '') as string,
  };
  /** The agent as its DaemonSet starts it: the ConfigMap is its environment. */
  const agent = readAgentConfig({
    ...world.settings(enrollmentConfigMap),
    NODE_NAME: 'node-1',
    POD_NAMESPACE: systemNamespace,
    SYSTEM_NAMESPACE: systemNamespace,
  });

  test('the rule', () => {
    expect(decideEnrollment(pod, labels, world.enrollmentRules)).toEqual(wanted);
  });

  test('the agent with its environment', () => {
    expect(decideEnrollment(pod, labels, agent)).toEqual(wanted);
  });
});
