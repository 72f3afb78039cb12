import { describe, expect, test } from 'vitest';
import { statusPatch } from '#sandbox/node/kubelet/pod/status-publisher.js';

describe('the patch that publishes a status', () => {
  const status = {
    phase: 'Running' as const,
    conditions: [{ type: 'Ready', status: 'True' as const }],
    podIP: '10.0.0.2',
    podIPs: [{ ip: '10.0.0.2' }],
  };

  test('replaces addresses, so that one of an earlier sandbox does not stay', () => {
    expect(statusPatch(status)['podIPs']).toEqual([{ ip: '10.0.0.2' }, { $patch: 'replace' }]);
    const { podIP: _podIP, podIPs: _podIPs, ...gone } = status;
    expect(statusPatch(gone)).toMatchObject({ podIP: null, podIPs: null });
  });

  test('removes the reason of a condition that has none any more', () => {
    const patch = statusPatch(status);
    expect(patch['conditions']).toEqual([{ type: 'Ready', status: 'True', reason: null, message: null }]);
    expect(patch['$setElementOrder/conditions']).toEqual([{ type: 'Ready' }]);
    expect(patch).toMatchObject({ reason: null, message: null });
  });
});
