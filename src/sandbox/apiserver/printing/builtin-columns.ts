import { autoscalerTargets } from './autoscaler-targets.js';
import {
  type Json,
  numberOf,
  objectOf,
  objectsOf,
  pathOf,
  stringMapOf,
  stringOf,
  stringsOf,
} from '../json.js';
import type { KubeObject } from '../object.js';
import { LabelSelector } from '../registry/label-selector.js';
import type { Column } from '../registry/resource.js';
import { ageOf, shortDuration } from './age.js';
import { ageColumn, nameColumn } from './default-columns.js';
import { podColumns } from './pod-columns.js';

type Cell = (o: KubeObject) => Json;

function column(name: string, cell: Cell, priority = 0): Column {
  return { name, cell, priority, description: '' };
}

const at =
  (...path: string[]): Cell =>
  (o) => {
    const value = pathOf(o, ...path);
    return value === undefined || value === null || value === ''
      ? '<none>'
      : typeof value === 'object'
        ? JSON.stringify(value)
        : value;
  };
const count =
  (...path: string[]): Cell =>
  (o) =>
    numberOf(pathOf(o, ...path)) ?? 0;
const size =
  (...fields: string[]): Cell =>
  (o) =>
    fields.reduce((sum, f) => sum + Object.keys(objectOf(o[f])).length, 0);
const orNone = (text: string): string => (text === '' ? '<none>' : text);

function templateOf(o: KubeObject): readonly { name: string; image: string }[] {
  const spec =
    o.kind === 'CronJob'
      ? pathOf(o, 'spec', 'jobTemplate', 'spec', 'template', 'spec')
      : pathOf(o, 'spec', 'template', 'spec');
  return objectsOf(pathOf(spec, 'containers')).map((c) => ({
    name: stringOf(c.name),
    image: stringOf(c.image),
  }));
}
const containers = column(
  'Containers',
  (o) =>
    orNone(
      templateOf(o)
        .map((c) => c.name)
        .join(','),
    ),
  1,
);
const images = column(
  'Images',
  (o) =>
    orNone(
      templateOf(o)
        .map((c) => c.image)
        .join(','),
    ),
  1,
);
const selector = column(
  'Selector',
  (o) => orNone(LabelSelector.fromObject(pathOf(o, 'spec', 'selector')).toString()),
  1,
);
const wide = [containers, images, selector];

function externalIps(o: KubeObject): string {
  const own = stringsOf(pathOf(o, 'spec', 'externalIPs'));
  switch (pathOf(o, 'spec', 'type')) {
    case 'LoadBalancer': {
      const given = objectsOf(pathOf(o, 'status', 'loadBalancer', 'ingress')).map(
        (i) => stringOf(i.ip) || stringOf(i.hostname),
      );
      const all = [...given, ...own];
      return all.length > 0 ? all.join(',') : '<pending>';
    }
    case 'ExternalName':
      return stringOf(pathOf(o, 'spec', 'externalName'));
    default:
      return orNone(own.join(','));
  }
}

function servicePorts(o: KubeObject): string {
  const ports = objectsOf(pathOf(o, 'spec', 'ports')).map((p) => {
    const nodePort = numberOf(p.nodePort) ?? 0;
    return `${numberOf(p.port) ?? 0}${nodePort > 0 ? `:${nodePort}` : ''}/${stringOf(p.protocol)}`;
  });
  return orNone(ports.join(','));
}

function endpointsText(o: KubeObject): string {
  const all: string[] = [];
  for (const subset of objectsOf(o.subsets)) {
    const ports = objectsOf(subset.ports);
    for (const address of objectsOf(subset.addresses)) {
      if (ports.length === 0) all.push(stringOf(address.ip));
      for (const port of ports) all.push(`${stringOf(address.ip)}:${numberOf(port.port) ?? 0}`);
    }
  }
  return listed(all);
}

function listed(all: readonly string[]): string {
  if (all.length === 0) return '<none>';
  return all.length > 3 ? `${all.slice(0, 3).join(',')} + ${all.length - 3} more...` : all.join(',');
}

function nodeStatus(o: KubeObject): string {
  const ready = objectsOf(pathOf(o, 'status', 'conditions')).find((c) => c.type === 'Ready');
  const state =
    ready === undefined
      ? 'Unknown'
      : ready.status === 'True'
        ? 'Ready'
        : ready.status === 'Unknown'
          ? 'NotReady'
          : 'NotReady';
  return pathOf(o, 'spec', 'unschedulable') === true ? `${state},SchedulingDisabled` : state;
}

function nodeRoles(o: KubeObject): string {
  const prefix = 'node-role.kubernetes.io/';
  const roles = Object.keys(o.metadata.labels ?? {})
    .filter((l) => l.startsWith(prefix))
    .map((l) => l.slice(prefix.length));
  return orNone(roles.sort().join(','));
}

const nodeAddress =
  (type: string): Cell =>
  (o) =>
    orNone(stringOf(objectsOf(pathOf(o, 'status', 'addresses')).find((a) => a.type === type)?.address));

function jobDuration(o: KubeObject): string {
  const start = stringOf(pathOf(o, 'status', 'startTime'));
  if (start === '') return '';
  const end = stringOf(pathOf(o, 'status', 'completionTime'));
  return shortDuration((end === '' ? Date.now() : Date.parse(end)) - Date.parse(start));
}

function jobStatus(o: KubeObject): string {
  const conditions = objectsOf(pathOf(o, 'status', 'conditions')).filter((c) => c.status === 'True');
  for (const type of ['Complete', 'Failed', 'Suspended', 'FailureTarget', 'SuccessCriteriaMet']) {
    if (conditions.some((c) => c.type === type)) return type;
  }
  return o.metadata.deletionTimestamp === undefined ? 'Running' : 'Terminating';
}

function subjects(kind: string): Cell {
  return (o) =>
    objectsOf(o.subjects)
      .filter((s) => s.kind === kind)
      .map((s) =>
        kind === 'ServiceAccount' ? `${stringOf(s.namespace)}/${stringOf(s.name)}` : stringOf(s.name),
      )
      .join(', ');
}
const bindingColumns: readonly Column[] = [
  nameColumn,
  column(
    'Role',
    (o) => `${stringOf(pathOf(o, 'roleRef', 'kind'))}/${stringOf(pathOf(o, 'roleRef', 'name'))}`,
  ),
  ageColumn,
  column('Users', subjects('User'), 1),
  column('Groups', subjects('Group'), 1),
  column('ServiceAccounts', subjects('ServiceAccount'), 1),
];

function eventSource(o: KubeObject): string {
  const component = stringOf(pathOf(o, 'source', 'component')) || stringOf(o.reportingComponent);
  const host = stringOf(pathOf(o, 'source', 'host')) || stringOf(o.reportingInstance);
  return host === '' ? component : `${component}, ${host}`;
}

function eventTime(o: KubeObject): string {
  const time =
    stringOf(pathOf(o, 'series', 'lastObservedTime')) || stringOf(o.lastTimestamp) || stringOf(o.eventTime);
  return ageOf(time === '' ? o.metadata.creationTimestamp : time);
}

const eventColumns: readonly Column[] = [
  column('Last Seen', eventTime),
  column('Type', (o) => stringOf(o.type)),
  column('Reason', (o) => stringOf(o.reason)),
  column('Object', (o) => {
    const ref = objectOf(o.involvedObject ?? o.regarding);
    return `${stringOf(ref.kind).toLowerCase()}/${stringOf(ref.name)}`;
  }),
  column('Subobject', (o) => stringOf(pathOf(o.involvedObject ?? o.regarding, 'fieldPath')), 1),
  column('Source', eventSource, 1),
  column('Message', (o) => stringOf(o.message ?? o.note).trim()),
  column(
    'First Seen',
    (o) => ageOf(stringOf(o.firstTimestamp) || stringOf(o.eventTime) || o.metadata.creationTimestamp),
    1,
  ),
  column('Count', (o) => numberOf(pathOf(o, 'series', 'count')) ?? numberOf(o.count) ?? 1, 1),
  { ...nameColumn, priority: 1 },
];

function sliceEndpoints(o: KubeObject): string {
  return listed(objectsOf(o.endpoints).flatMap((e) => stringsOf(e.addresses))).replace('<none>', '<unset>');
}

function ingressHosts(o: KubeObject): string {
  const hosts = objectsOf(pathOf(o, 'spec', 'rules'))
    .map((r) => stringOf(r.host))
    .filter((h) => h !== '');
  return hosts.length > 0 ? hosts.join(',') : '*';
}

/** Columns of built-in kinds by qualified plural. */
export const builtinColumns: Readonly<Record<string, readonly Column[]>> = {
  pods: podColumns,
  namespaces: [nameColumn, column('Status', at('status', 'phase')), ageColumn],
  services: [
    nameColumn,
    column('Type', at('spec', 'type')),
    column('Cluster-IP', at('spec', 'clusterIP')),
    column('External-IP', externalIps),
    column('Port(s)', servicePorts),
    ageColumn,
    column(
      'Selector',
      (o) =>
        orNone(
          Object.entries(stringMapOf(pathOf(o, 'spec', 'selector')))
            .map(([k, v]) => `${k}=${v}`)
            .join(','),
        ),
      1,
    ),
  ],
  endpoints: [nameColumn, column('Endpoints', endpointsText), ageColumn],
  configmaps: [nameColumn, { ...column('Data', size('data', 'binaryData')), type: 'integer' }, ageColumn],
  secrets: [
    nameColumn,
    column('Type', at('type')),
    { ...column('Data', size('data')), type: 'integer' },
    ageColumn,
  ],
  serviceaccounts: [
    nameColumn,
    { ...column('Secrets', (o) => objectsOf(o.secrets).length), type: 'integer' },
    ageColumn,
  ],
  nodes: [
    nameColumn,
    column('Status', nodeStatus),
    column('Roles', nodeRoles),
    ageColumn,
    column('Version', at('status', 'nodeInfo', 'kubeletVersion')),
    column('Internal-IP', nodeAddress('InternalIP'), 1),
    column('External-IP', nodeAddress('ExternalIP'), 1),
    column('OS-Image', at('status', 'nodeInfo', 'osImage'), 1),
    column('Kernel-Version', at('status', 'nodeInfo', 'kernelVersion'), 1),
    column('Container-Runtime', at('status', 'nodeInfo', 'containerRuntimeVersion'), 1),
  ],
  events: eventColumns,
  'events.events.k8s.io': eventColumns,
  persistentvolumeclaims: [
    nameColumn,
    column('Status', at('status', 'phase')),
    column('Volume', (o) => stringOf(pathOf(o, 'spec', 'volumeName'))),
    column('Capacity', (o) => stringOf(pathOf(o, 'status', 'capacity', 'storage'))),
    column('Access Modes', (o) => stringsOf(pathOf(o, 'spec', 'accessModes')).join(',')),
    column('StorageClass', (o) => stringOf(pathOf(o, 'spec', 'storageClassName'))),
    ageColumn,
  ],
  resourcequotas: [
    nameColumn,
    column('Request', (o) => Object.keys(objectOf(pathOf(o, 'spec', 'hard'))).join(', ')),
    ageColumn,
  ],
  'deployments.apps': [
    nameColumn,
    column(
      'Ready',
      (o) =>
        `${numberOf(pathOf(o, 'status', 'readyReplicas')) ?? 0}/${numberOf(pathOf(o, 'spec', 'replicas')) ?? 0}`,
    ),
    column('Up-to-date', count('status', 'updatedReplicas')),
    column('Available', count('status', 'availableReplicas')),
    ageColumn,
    ...wide,
  ],
  'replicasets.apps': [
    nameColumn,
    column('Desired', count('spec', 'replicas')),
    column('Current', count('status', 'replicas')),
    column('Ready', count('status', 'readyReplicas')),
    ageColumn,
    ...wide,
  ],
  'statefulsets.apps': [
    nameColumn,
    column(
      'Ready',
      (o) =>
        `${numberOf(pathOf(o, 'status', 'readyReplicas')) ?? 0}/${numberOf(pathOf(o, 'spec', 'replicas')) ?? 0}`,
    ),
    ageColumn,
    containers,
    images,
  ],
  'daemonsets.apps': [
    nameColumn,
    column('Desired', count('status', 'desiredNumberScheduled')),
    column('Current', count('status', 'currentNumberScheduled')),
    column('Ready', count('status', 'numberReady')),
    column('Up-to-date', count('status', 'updatedNumberScheduled')),
    column('Available', count('status', 'numberAvailable')),
    column('Node Selector', (o) =>
      orNone(
        Object.entries(stringMapOf(pathOf(o, 'spec', 'template', 'spec', 'nodeSelector')))
          .map(([k, v]) => `${k}=${v}`)
          .join(','),
      ),
    ),
    ageColumn,
    ...wide,
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
  'jobs.batch': [
    nameColumn,
    column('Status', jobStatus),
    column(
      'Completions',
      (o) =>
        `${numberOf(pathOf(o, 'status', 'succeeded')) ?? 0}/${numberOf(pathOf(o, 'spec', 'completions')) ?? 1}`,
    ),
    column('Duration', jobDuration),
    ageColumn,
    ...wide,
  ],
  'cronjobs.batch': [
    nameColumn,
    column('Schedule', at('spec', 'schedule')),
    column('Timezone', at('spec', 'timeZone')),
    column('Suspend', (o) => (pathOf(o, 'spec', 'suspend') === true ? 'True' : 'False')),
    column('Active', (o) => objectsOf(pathOf(o, 'status', 'active')).length),
    column('Last Schedule', (o) => {
      const last = stringOf(pathOf(o, 'status', 'lastScheduleTime'));
      return last === '' ? '<none>' : ageOf(last);
    }),
    ageColumn,
    ...wide.slice(0, 2),
  ],
  'poddisruptionbudgets.policy': [
    nameColumn,
    column('Min Available', (o) =>
      at('spec', 'minAvailable')(o) === '<none>' ? 'N/A' : at('spec', 'minAvailable')(o),
    ),
    column('Max Unavailable', (o) =>
      at('spec', 'maxUnavailable')(o) === '<none>' ? 'N/A' : at('spec', 'maxUnavailable')(o),
    ),
    column('Allowed Disruptions', count('status', 'disruptionsAllowed')),
    ageColumn,
  ],
  'endpointslices.discovery.k8s.io': [
    nameColumn,
    column('AddressType', at('addressType')),
    column('Ports', (o) =>
      listed(objectsOf(o.ports).map((p) => String(numberOf(p.port) ?? '*'))).replace('<none>', '<unset>'),
    ),
    column('Endpoints', sliceEndpoints),
    ageColumn,
  ],
  'networkpolicies.networking.k8s.io': [
    nameColumn,
    column('Pod-Selector', (o) =>
      orNone(LabelSelector.fromObject(pathOf(o, 'spec', 'podSelector')).toString()),
    ),
    ageColumn,
  ],
  'ingresses.networking.k8s.io': [
    nameColumn,
    column('Class', at('spec', 'ingressClassName')),
    column('Hosts', ingressHosts),
    column('Address', (o) =>
      objectsOf(pathOf(o, 'status', 'loadBalancer', 'ingress'))
        .map((i) => stringOf(i.ip) || stringOf(i.hostname))
        .join(','),
    ),
    column('Ports', (o) => (objectsOf(pathOf(o, 'spec', 'tls')).length > 0 ? '80, 443' : '80')),
    ageColumn,
  ],
  'ingressclasses.networking.k8s.io': [
    nameColumn,
    column('Controller', at('spec', 'controller')),
    column('Parameters', () => '<none>'),
    ageColumn,
  ],
  'leases.coordination.k8s.io': [
    nameColumn,
    column('Holder', (o) => stringOf(pathOf(o, 'spec', 'holderIdentity'))),
    ageColumn,
  ],
  'rolebindings.rbac.authorization.k8s.io': bindingColumns,
  'clusterrolebindings.rbac.authorization.k8s.io': bindingColumns,
  'priorityclasses.scheduling.k8s.io': [
    nameColumn,
    column('Value', count('value')),
    column('Global-Default', (o) => o.globalDefault === true),
    ageColumn,
    column('PreemptionPolicy', at('preemptionPolicy')),
  ],
  'storageclasses.storage.k8s.io': [
    nameColumn,
    column('Provisioner', at('provisioner')),
    column('ReclaimPolicy', at('reclaimPolicy')),
    column('VolumeBindingMode', at('volumeBindingMode')),
    column('AllowVolumeExpansion', (o) => o.allowVolumeExpansion === true),
    ageColumn,
  ],
  'horizontalpodautoscalers.autoscaling': [
    nameColumn,
    column('Reference', (o) => {
      const ref = objectOf(pathOf(o, 'spec', 'scaleTargetRef'));
      return `${stringOf(ref.kind)}/${stringOf(ref.name)}`;
    }),
    column('Targets', (o) => autoscalerTargets(objectOf(o.spec), objectOf(o.status))),
    column('MinPods', at('spec', 'minReplicas')),
    column('MaxPods', count('spec', 'maxReplicas')),
    column('Replicas', count('status', 'currentReplicas')),
    ageColumn,
  ],
  'apiservices.apiregistration.k8s.io': [
    nameColumn,
    column('Service', () => 'Local'),
    column('Available', () => 'True'),
    ageColumn,
  ],
  'validatingwebhookconfigurations.admissionregistration.k8s.io': [
    nameColumn,
    column('Webhooks', (o) => objectsOf(o.webhooks).length),
    ageColumn,
  ],
  'mutatingwebhookconfigurations.admissionregistration.k8s.io': [
    nameColumn,
    column('Webhooks', (o) => objectsOf(o.webhooks).length),
    ageColumn,
  ],
};
