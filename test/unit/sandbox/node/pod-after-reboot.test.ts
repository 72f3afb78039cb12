import { describe, expect, test } from 'vitest';
import { makeSlots, shouldRun } from '#sandbox/node/kubelet/pod/pod-slots.js';
import { podPhase } from '#sandbox/node/kubelet/pod/pod-phase.js';
import type { KubeletPod } from '#sandbox/node/model/pod.js';
import type { KubeletContainerState, KubeletContainerStatus } from '#sandbox/node/model/pod-status.js';
import { makeContainer, makePod } from './make-pod.js';

const begun = '2026-01-01T00:00:00Z';
const rebooted = new Date('2026-01-02T00:00:00Z');
const running: KubeletContainerState = { running: { startedAt: begun } };

function ended(exitCode: number): KubeletContainerState {
  return { terminated: { exitCode, reason: 'Error', startedAt: begun, finishedAt: begun } };
}

function status(name: string, state: KubeletContainerState, restartCount = 0): KubeletContainerStatus {
  return {
    name,
    state,
    lastState: {},
    ready: state.running !== undefined,
    restartCount,
    image: 'x',
    imageID: 'x',
    containerID: `bubblewrap://${name}`,
  };
}

/** A pod as the API server has it when its node comes back: container `a`, and others by name. */
function podWith(
  policy: 'Always' | 'OnFailure' | 'Never',
  states: Record<string, KubeletContainerState>,
): KubeletPod {
  const names = Object.keys(states);
  return makePod({
    spec: { restartPolicy: policy, containers: names.map((name) => makeContainer({ name })) },
    status: {
      phase: 'Running',
      containerStatuses: names.map((name) => status(name, states[name] ?? {}, 2)),
    },
  });
}

describe('after its node lost power', () => {
  test('a container that ran is restarted, and its last state says that nobody saw it end', () => {
    const pod = podWith('Always', { a: running });
    const [slot] = makeSlots(pod, rebooted);
    expect(slot !== undefined && shouldRun(pod, slot)).toBe(true);
    expect(slot?.restartCount).toBe(2);
    expect(slot?.nextAttempt).toBe(3);
    const { state, lastState } = slot?.status('bubblewrap') ?? {};
    expect(state?.waiting?.reason).toBe('ContainerCreating');
    expect(lastState?.terminated).toEqual({
      exitCode: 255,
      reason: 'Unknown',
      startedAt: begun,
      finishedAt: '2026-01-02T00:00:00Z',
      containerID: 'bubblewrap://a',
    });
  });

  test('a pod that is never restarted has failed', () => {
    const pod = podWith('Never', { a: running, b: ended(0) });
    const slots = makeSlots(pod, rebooted);
    expect(slots.map((slot) => shouldRun(pod, slot))).toEqual([false, false]);
    expect(podPhase(pod, slots, { isTerminal: false })).toBe('Failed');
    expect(slots[0]?.status('bubblewrap')).toMatchObject({
      state: { terminated: { exitCode: 255, reason: 'Unknown' } },
      restartCount: 2,
      containerID: 'bubblewrap://a',
    });
  });

  test('on failure only what had not succeeded runs again', () => {
    const pod = podWith('OnFailure', { done: ended(0), lost: running, failed: ended(1) });
    const slots = makeSlots(pod, rebooted);
    expect(slots.map((slot) => shouldRun(pod, slot))).toEqual([false, true, true]);
    expect(slots.map((slot) => slot.nextAttempt)).toEqual([3, 3, 3]);
  });

  test('init containers do their work again', () => {
    const pod = makePod({
      spec: { initContainers: [makeContainer({ name: 'i' })] },
      status: {
        initContainerStatuses: [status('i', ended(0))],
        containerStatuses: [status('c', running)],
      },
    });
    expect(makeSlots(pod, rebooted).map((slot) => shouldRun(pod, slot))).toEqual([true, true]);
  });

  test('a container that never began starts with its first instance', () => {
    const { containerID: _none, ...waiting } = status('c', { waiting: { reason: 'ContainerCreating' } });
    const pod = makePod({ status: { containerStatuses: [waiting] } });
    expect(makeSlots(pod, rebooted)[0]?.nextAttempt).toBe(0);
  });
});
