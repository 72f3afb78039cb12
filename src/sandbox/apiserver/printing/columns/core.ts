import { objectOf, objectsOf, valueIn, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import type { Column } from '../../registry/resource.js';
import { ageOf } from '../age.js';
import { ageColumn, nameColumn } from '../default-columns.js';
import { cellAt, type Cell, column, integers, orNone, size } from './cells.js';

function nodeStatus(o: ApiObject): string {
  const known = objectsOf(valueIn(o, 'status', 'conditions')).find((c) => c.type === 'Ready');
  const state = known === undefined ? 'Unknown' : known.status === 'True' ? 'Ready' : 'NotReady';
  return valueIn(o, 'spec', 'unschedulable') === true ? `${state},SchedulingDisabled` : state;
}

function nodeRoles(o: ApiObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const labels = o.metadata.labels ?? {};
  const roles = Object.keys(labels)
    .filter((l) => l.startsWith(prefix) && l.length > prefix.length)
    .map((l) => l.slice(prefix.length));
  const old = labels['kubernetes.io/role'];
  if (old !== undefined && old !== '') roles.push(old);
  return orNone([...new Set(roles)].sort().join(','));
}

const nodeAddress =
  (type: string): Cell =>
  (o) =>
    orNone(stringOf(objectsOf(valueIn(o, 'status', 'addresses')).find((a) => a.type === type)?.address));

/** The resources of a quota, used and allowed: limits, or everything else. */
const quotaUse =
  (isOfLimits: boolean): Cell =>
  (o) => {
    const hard = objectOf(valueIn(o, 'status', 'hard'));
    const used = objectOf(valueIn(o, 'status', 'used'));
    return Object.keys(hard)
      .filter((name) => name.startsWith('limits.') === isOfLimits)
      .sort()
      .map((name) => `${name}: ${stringOf(used[name]) || '0'}/${stringOf(hard[name])}`)
      .join(', ');
  };

/** The first text that is there: the two kinds of events name some fields differently. */
function firstOf(o: ApiObject, ...paths: readonly (readonly string[])[]): string {
  for (const path of paths) {
    const text = stringOf(valueIn(o, ...path));
    if (text !== '') return text;
  }
  return '';
}

function eventSource(o: ApiObject): string {
  const component = firstOf(
    o,
    ['source', 'component'],
    ['deprecatedSource', 'component'],
    ['reportingComponent'],
    ['reportingController'],
  );
  const host = firstOf(o, ['source', 'host'], ['deprecatedSource', 'host'], ['reportingInstance']);
  return host === '' ? component : `${component}, ${host}`;
}

const lastSeen: Cell = (o) =>
  ageOf(
    firstOf(o, ['series', 'lastObservedTime'], ['lastTimestamp'], ['deprecatedLastTimestamp'], ['eventTime']),
  );

const eventColumns: readonly Column[] = [
  column('Last Seen', lastSeen),
  column('Type', cellAt(['type'])),
  column('Reason', cellAt(['reason'])),
  column('Object', (o) => {
    const ref = objectOf(o.involvedObject ?? o.regarding);
    return `${stringOf(ref.kind).toLowerCase()}/${stringOf(ref.name)}`;
  }),
  column('Subobject', (o) => stringOf(valueIn(o.involvedObject ?? o.regarding, 'fieldPath')), 1),
  column('Source', eventSource, 1),
  column('Message', (o) => stringOf(o.message ?? o.note).trim()),
  column(
    'First Seen',
    (o) => ageOf(firstOf(o, ['firstTimestamp'], ['deprecatedFirstTimestamp'], ['eventTime'])),
    1,
  ),
  column(
    'Count',
    (o) => {
      const times = valueIn(o, 'series', 'count') ?? o.count ?? o.deprecatedCount;
      return typeof times === 'number' && times > 0 ? times : 1;
    },
    1,
  ),
  { ...nameColumn, priority: 1 },
];

const dataColumn = column('Data', size('data', 'binaryData'));

/** The core group but pods, services and volumes. */
export const coreColumns: Readonly<Record<string, readonly Column[]>> = {
  componentstatuses: [
    nameColumn,
    ...['Status', 'Message', 'Error'].map((name) =>
      column(name, (o) => {
        const [first] = objectsOf(o.conditions).filter((c) => c.type === 'Healthy');
        if (name !== 'Status') return stringOf(objectOf(first)[name.toLowerCase()]);
        return first === undefined ? 'Unknown' : first.status === 'True' ? 'Healthy' : 'Unhealthy';
      }),
    ),
  ],
  configmaps: [nameColumn, dataColumn, ageColumn],
  events: eventColumns,
  'events.events.k8s.io': eventColumns,
  namespaces: [nameColumn, column('Status', cellAt(['status', 'phase'])), ageColumn],
  nodes: [
    nameColumn,
    column('Status', nodeStatus),
    column('Roles', nodeRoles),
    ageColumn,
    column('Version', cellAt(['status', 'nodeInfo', 'kubeletVersion'])),
    column('Internal-IP', nodeAddress('InternalIP'), 1),
    column('External-IP', nodeAddress('ExternalIP'), 1),
    column('OS-Image', cellAt(['status', 'nodeInfo', 'osImage'], '<unknown>'), 1),
    column('Kernel-Version', cellAt(['status', 'nodeInfo', 'kernelVersion'], '<unknown>'), 1),
    column('Container-Runtime', cellAt(['status', 'nodeInfo', 'containerRuntimeVersion'], '<unknown>'), 1),
  ],
  resourcequotas: [
    nameColumn,
    ageColumn,
    column('Request', quotaUse(false)),
    column('Limit', quotaUse(true)),
  ],
  secrets: [nameColumn, column('Type', cellAt(['type'])), column('Data', size('data')), ageColumn],
  serviceaccounts: [nameColumn, column('Secrets', (o) => objectsOf(o.secrets).length), ageColumn],
  'leases.coordination.k8s.io': [nameColumn, column('Holder', cellAt(['spec', 'holderIdentity'])), ageColumn],
  'runtimeclasses.node.k8s.io': [nameColumn, column('Handler', cellAt(['handler'])), ageColumn],
  'csinodes.storage.k8s.io': [
    nameColumn,
    integers('Drivers', (o) => objectsOf(valueIn(o, 'spec', 'drivers')).length),
    ageColumn,
  ],
};
