import { objectOf, objectsOf, pathOf, stringOf } from '../../../base/json.js';
import type { KubeObject } from '../../object.js';
import type { Column } from '../../registry/resource.js';
import { ageOf } from '../age.js';
import { ageColumn, nameColumn } from '../default-columns.js';
import { at, type Cell, column, integers, orNone, size } from './cells.js';

function nodeStatus(o: KubeObject): string {
  const known = objectsOf(pathOf(o, 'status', 'conditions')).find((c) => c.type === 'Ready');
  const state = known === undefined ? 'Unknown' : known.status === 'True' ? 'Ready' : 'NotReady';
  return pathOf(o, 'spec', 'unschedulable') === true ? `${state},SchedulingDisabled` : state;
}

function nodeRoles(o: KubeObject): string {
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
    orNone(stringOf(objectsOf(pathOf(o, 'status', 'addresses')).find((a) => a.type === type)?.address));

/** The resources of a quota, used and allowed: limits, or everything else. */
const quotaUse =
  (isOfLimits: boolean): Cell =>
  (o) => {
    const hard = objectOf(pathOf(o, 'status', 'hard'));
    const used = objectOf(pathOf(o, 'status', 'used'));
    return Object.keys(hard)
      .filter((name) => name.startsWith('limits.') === isOfLimits)
      .sort()
      .map((name) => `${name}: ${stringOf(used[name]) || '0'}/${stringOf(hard[name])}`)
      .join(', ');
  };

/** The first text that is there: the two kinds of events name some fields differently. */
function firstOf(o: KubeObject, ...paths: readonly (readonly string[])[]): string {
  for (const path of paths) {
    const text = stringOf(pathOf(o, ...path));
    if (text !== '') return text;
  }
  return '';
}

function eventSource(o: KubeObject): string {
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
  column('Type', at(['type'])),
  column('Reason', at(['reason'])),
  column('Object', (o) => {
    const ref = objectOf(o.involvedObject ?? o.regarding);
    return `${stringOf(ref.kind).toLowerCase()}/${stringOf(ref.name)}`;
  }),
  column('Subobject', (o) => stringOf(pathOf(o.involvedObject ?? o.regarding, 'fieldPath')), 1),
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
      const times = pathOf(o, 'series', 'count') ?? o.count ?? o.deprecatedCount;
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
  namespaces: [nameColumn, column('Status', at(['status', 'phase'])), ageColumn],
  nodes: [
    nameColumn,
    column('Status', nodeStatus),
    column('Roles', nodeRoles),
    ageColumn,
    column('Version', at(['status', 'nodeInfo', 'kubeletVersion'])),
    column('Internal-IP', nodeAddress('InternalIP'), 1),
    column('External-IP', nodeAddress('ExternalIP'), 1),
    column('OS-Image', at(['status', 'nodeInfo', 'osImage'], '<unknown>'), 1),
    column('Kernel-Version', at(['status', 'nodeInfo', 'kernelVersion'], '<unknown>'), 1),
    column('Container-Runtime', at(['status', 'nodeInfo', 'containerRuntimeVersion'], '<unknown>'), 1),
  ],
  resourcequotas: [
    nameColumn,
    ageColumn,
    column('Request', quotaUse(false)),
    column('Limit', quotaUse(true)),
  ],
  secrets: [nameColumn, column('Type', at(['type'])), column('Data', size('data')), ageColumn],
  serviceaccounts: [nameColumn, column('Secrets', (o) => objectsOf(o.secrets).length), ageColumn],
  'leases.coordination.k8s.io': [nameColumn, column('Holder', at(['spec', 'holderIdentity'])), ageColumn],
  'runtimeclasses.node.k8s.io': [nameColumn, column('Handler', at(['handler'])), ageColumn],
  'csinodes.storage.k8s.io': [
    nameColumn,
    integers('Drivers', (o) => objectsOf(pathOf(o, 'spec', 'drivers')).length),
    ageColumn,
  ],
};
