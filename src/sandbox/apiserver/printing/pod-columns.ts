import {
  isObject,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  valueIn,
  stringOf,
} from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { Column } from '../registry/resource.js';
import { ageOf } from './age.js';
import { ageColumn, nameColumn } from './default-columns.js';

interface Summary {
  readonly ready: number;
  readonly total: number;
  readonly restarts: number;
  readonly lastRestart: string;
  readonly status: string;
}

function isRestartable(pod: ApiObject, name: string): boolean {
  return objectsOf(valueIn(pod, 'spec', 'initContainers')).some(
    (c) => c.name === name && c.restartPolicy === 'Always',
  );
}

function terminatedText(state: JsonObject): string {
  const reason = stringOf(state.reason);
  if (reason !== '') return reason;
  const signal = numberOf(state.signal) ?? 0;
  return signal !== 0 ? `Signal:${signal}` : `ExitCode:${numberOf(state.exitCode) ?? 0}`;
}

/** What the init containers say about the pod; undefined when they are through. */
function initStatus(pod: ApiObject): string | undefined {
  const total = objectsOf(valueIn(pod, 'spec', 'initContainers')).length;
  let done = 0;
  for (const status of objectsOf(valueIn(pod, 'status', 'initContainerStatuses'))) {
    const terminated = valueIn(status, 'state', 'terminated');
    if (isObject(terminated) && terminated.exitCode === 0) {
      done++;
      continue;
    }
    if (isRestartable(pod, stringOf(status.name)) && status.started === true) {
      done++;
      continue;
    }
    if (isObject(terminated)) return `Init:${terminatedText(terminated)}`;
    const waiting = stringOf(valueIn(status, 'state', 'waiting', 'reason'));
    if (waiting !== '' && waiting !== 'PodInitializing') return `Init:${waiting}`;
    return `Init:${done}/${total}`;
  }
  return undefined;
}

/** The one-line view of a pod that kubectl users know. */
export function summarizePod(pod: ApiObject): Summary {
  const statuses = objectsOf(valueIn(pod, 'status', 'containerStatuses'));
  const sidecars = objectsOf(valueIn(pod, 'status', 'initContainerStatuses')).filter((s) =>
    isRestartable(pod, stringOf(s.name)),
  );
  const sidecarCount = objectsOf(valueIn(pod, 'spec', 'initContainers')).filter(
    (c) => c.restartPolicy === 'Always',
  ).length;
  const total = objectsOf(valueIn(pod, 'spec', 'containers')).length + sidecarCount;
  let status = stringOf(valueIn(pod, 'status', 'reason')) || stringOf(valueIn(pod, 'status', 'phase'));
  const gated = objectsOf(valueIn(pod, 'status', 'conditions')).some(
    (c) => c.type === 'PodScheduled' && c.reason === 'SchedulingGated',
  );
  if (gated) status = 'SchedulingGated';
  const init = initStatus(pod);
  let hasRunning = false;
  if (init !== undefined) status = init;
  else {
    for (const s of [...statuses].reverse()) {
      const state = objectOf(s.state);
      const waiting = stringOf(valueIn(state, 'waiting', 'reason'));
      if (waiting !== '') status = waiting;
      else if (isObject(state.terminated)) status = terminatedText(state.terminated);
      else if (s.ready === true && state.running !== undefined) hasRunning = true;
    }
    if (status === 'Completed' && hasRunning) {
      const isReady = objectsOf(valueIn(pod, 'status', 'conditions')).some(
        (c) => c.type === 'Ready' && c.status === 'True',
      );
      status = isReady ? 'Running' : 'NotReady';
    }
  }
  if (pod.metadata.deletionTimestamp !== undefined) {
    status = valueIn(pod, 'status', 'reason') === 'NodeLost' ? 'Unknown' : 'Terminating';
  }
  const counted = [...statuses, ...sidecars];
  let lastRestart = '';
  for (const s of counted) {
    const finished = stringOf(valueIn(s, 'lastState', 'terminated', 'finishedAt'));
    if (finished > lastRestart) lastRestart = finished;
  }
  return {
    ready: counted.filter((s) => s.ready === true && valueIn(s, 'state', 'running') !== undefined).length,
    total,
    restarts: counted.reduce((sum, s) => sum + (numberOf(s.restartCount) ?? 0), 0),
    lastRestart,
    status,
  };
}

function readinessGates(pod: ApiObject): string {
  const gates = objectsOf(valueIn(pod, 'spec', 'readinessGates'));
  if (gates.length === 0) return '<none>';
  const conditions = objectsOf(valueIn(pod, 'status', 'conditions'));
  const met = gates.filter((g) =>
    conditions.some((c) => c.type === g.conditionType && c.status === 'True'),
  ).length;
  return `${met}/${gates.length}`;
}

const orNone = (text: string): string => (text === '' ? '<none>' : text);

export const podColumns: readonly Column[] = [
  nameColumn,
  {
    name: 'Ready',
    description: 'Containers that are ready, of all.',
    cell: (o) => {
      const { ready, total } = summarizePod(o);
      return `${ready}/${total}`;
    },
  },
  { name: 'Status', description: 'What the pod is doing.', cell: (o) => summarizePod(o).status },
  {
    name: 'Restarts',
    description: 'How often containers were restarted, and when last.',
    cell: (o) => {
      const { restarts, lastRestart } = summarizePod(o);
      return restarts > 0 && lastRestart !== ''
        ? `${restarts} (${ageOf(lastRestart)} ago)`
        : String(restarts);
    },
  },
  ageColumn,
  {
    name: 'IP',
    description: 'Address of the pod.',
    priority: 1,
    cell: (o) => orNone(stringOf(valueIn(o, 'status', 'podIP'))),
  },
  {
    name: 'Node',
    description: 'Node the pod is on.',
    priority: 1,
    cell: (o) => orNone(stringOf(valueIn(o, 'spec', 'nodeName'))),
  },
  {
    name: 'Nominated Node',
    description: 'Node the pod waits for.',
    priority: 1,
    cell: (o) => orNone(stringOf(valueIn(o, 'status', 'nominatedNodeName'))),
  },
  {
    name: 'Readiness Gates',
    description: 'Readiness gates that are met, of all.',
    priority: 1,
    cell: readinessGates,
  },
];
