import { numberOf, objectOf, objectsOf, valueIn, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Column } from '../../registry/resource.js';
import { ageOf, shortDuration } from '../age.js';
import { autoscalerTargets } from '../autoscaler-targets.js';
import { ageColumn, nameColumn } from '../default-columns.js';
import { podColumns } from '../pod-columns.js';
import {
  cellAt,
  booleans,
  type Cell,
  column,
  count,
  integers,
  labelsText,
  orNone,
  selectorColumn,
  templateColumns,
} from './cells.js';

const template = ['spec', 'template'];
const wide = [...templateColumns(template), selectorColumn];
const ready: Cell = (o) =>
  `${numberOf(valueIn(o, 'status', 'readyReplicas')) ?? 0}/${numberOf(valueIn(o, 'spec', 'replicas')) ?? 0}`;
const replicaCounts = [
  integers('Desired', count('spec', 'replicas')),
  integers('Current', count('status', 'replicas')),
  integers('Ready', count('status', 'readyReplicas')),
];

function jobDuration(o: ApiObject): string {
  const start = stringOf(valueIn(o, 'status', 'startTime'));
  if (start === '') return '';
  const end = stringOf(valueIn(o, 'status', 'completionTime'));
  return shortDuration((end === '' ? Date.now() : Date.parse(end)) - Date.parse(start));
}

function jobStatus(o: ApiObject): string {
  const conditions = objectsOf(valueIn(o, 'status', 'conditions')).filter((c) => c.status === 'True');
  for (const type of ['Complete', 'Failed']) if (conditions.some((c) => c.type === type)) return type;
  if (o.metadata.deletionTimestamp !== undefined) return 'Terminating';
  for (const type of ['Suspended', 'FailureTarget', 'SuccessCriteriaMet'])
    if (conditions.some((c) => c.type === type)) return type;
  return 'Running';
}

function completions(o: ApiObject): string {
  const done = numberOf(valueIn(o, 'status', 'succeeded')) ?? 0;
  const wanted = numberOf(valueIn(o, 'spec', 'completions'));
  const parallel = numberOf(valueIn(o, 'spec', 'parallelism')) ?? 0;
  if (wanted !== undefined) return `${done}/${wanted}`;
  return parallel > 1 ? `${done}/1 of ${parallel}` : `${done}/1`;
}

/** Columns of autoscalers; `stored` shows them in the form whose metrics are a list. */
export function autoscalerColumns(stored: (o: ApiObject) => ApiObject): readonly Column[] {
  return [
    nameColumn,
    column('Reference', (o) => {
      const ref = objectOf(valueIn(o, 'spec', 'scaleTargetRef'));
      return `${stringOf(ref.kind)}/${stringOf(ref.name)}`;
    }),
    column('Targets', (o) => {
      const { spec, status } = stored(o);
      return autoscalerTargets(objectOf(spec), objectOf(status));
    }),
    column('MinPods', (o) => String(numberOf(valueIn(o, 'spec', 'minReplicas')) ?? '<unset>')),
    column('MaxPods', count('spec', 'maxReplicas')),
    column('Replicas', count('status', 'currentReplicas')),
    ageColumn,
  ];
}

const budget =
  (field: string): Cell =>
  (o) => {
    const value = valueIn(o, 'spec', field);
    return typeof value === 'string' || typeof value === 'number' ? String(value) : 'N/A';
  };

/** Pods and what makes them. */
export const workloadColumns: Readonly<Record<string, readonly Column[]>> = {
  pods: podColumns,
  podtemplates: [
    nameColumn,
    ...templateColumns(['template'], 0),
    column('Pod Labels', (o) => orNone(labelsText(valueIn(o, 'template', 'metadata', 'labels')))),
  ],
  replicationcontrollers: [
    nameColumn,
    ...replicaCounts,
    ageColumn,
    ...templateColumns(template),
    column('Selector', (o) => orNone(labelsText(valueIn(o, 'spec', 'selector'))), 1),
  ],
  'controllerrevisions.apps': [
    nameColumn,
    column('Controller', (o) => {
      const owner = o.metadata.ownerReferences?.find((r) => r.controller === true);
      return owner === undefined ? '<none>' : `${owner.kind.toLowerCase()}.apps/${owner.name}`;
    }),
    column('Revision', count('revision')),
    ageColumn,
  ],
  'cronjobs.batch': [
    nameColumn,
    column('Schedule', cellAt(['spec', 'schedule'])),
    column('Timezone', cellAt(['spec', 'timeZone'], '<none>')),
    booleans('Suspend', (o) => (valueIn(o, 'spec', 'suspend') === true ? 'True' : 'False')),
    integers('Active', (o) => objectsOf(valueIn(o, 'status', 'active')).length),
    column('Last Schedule', (o) => {
      const last = stringOf(valueIn(o, 'status', 'lastScheduleTime'));
      return last === '' ? '<none>' : ageOf(last);
    }),
    ageColumn,
    ...templateColumns(['spec', 'jobTemplate', 'spec', 'template']),
    column(
      'Selector',
      (o) => orNone(labelsText(valueIn(o, 'spec', 'jobTemplate', 'spec', 'selector', 'matchLabels'))),
      1,
    ),
  ],
  'daemonsets.apps': [
    nameColumn,
    integers('Desired', count('status', 'desiredNumberScheduled')),
    integers('Current', count('status', 'currentNumberScheduled')),
    integers('Ready', count('status', 'numberReady')),
    integers('Up-to-date', count('status', 'updatedNumberScheduled')),
    integers('Available', count('status', 'numberAvailable')),
    column('Node Selector', (o) => orNone(labelsText(valueIn(o, ...template, 'spec', 'nodeSelector')))),
    ageColumn,
    ...wide,
  ],
  'deployments.apps': [
    nameColumn,
    column('Ready', ready),
    column('Up-to-date', count('status', 'updatedReplicas')),
    column('Available', count('status', 'availableReplicas')),
    ageColumn,
    ...wide,
  ],
  'jobs.batch': [
    nameColumn,
    column('Status', jobStatus),
    column('Completions', completions),
    column('Duration', jobDuration),
    ageColumn,
    ...wide,
  ],
  'poddisruptionbudgets.policy': [
    nameColumn,
    column('Min Available', budget('minAvailable')),
    column('Max Unavailable', budget('maxUnavailable')),
    integers('Allowed Disruptions', count('status', 'disruptionsAllowed')),
    ageColumn,
  ],
  'priorityclasses.scheduling.k8s.io': [
    nameColumn,
    integers('Value', count('value')),
    booleans('Global-Default', (o) => o.globalDefault === true),
    ageColumn,
    column('PreemptionPolicy', cellAt(['preemptionPolicy'])),
  ],
  'replicasets.apps': [nameColumn, ...replicaCounts, ageColumn, ...wide],
  'statefulsets.apps': [nameColumn, column('Ready', ready), ageColumn, ...templateColumns(template)],
};
