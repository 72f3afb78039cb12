import { pathOf } from '../json.js';
import type { KubeObject } from '../object.js';
import { defaultColumns } from '../printing/default-columns.js';
import { builtinColumns } from '../printing/builtin-columns.js';
import { LabelSelector } from '../registry/label-selector.js';
import type { NameRule, Resource, ScaleMapping, SubresourceInfo } from '../registry/resource.js';
import { BuiltinSchemas } from '../schema/builtin-schema.js';
import { builtinStrategies } from './builtin-strategies.js';
import { coreEventConversion } from './event-conversion.js';

interface Row {
  readonly kind: string;
  readonly plural: string;
  readonly type: string;
  readonly short?: string;
  readonly cluster?: true;
  readonly status?: true;
  readonly generation?: true;
  readonly scale?: true;
  readonly all?: true;
  readonly name?: NameRule;
  readonly fields?: string;
  readonly sub?: Readonly<Record<string, SubresourceInfo>>;
  readonly upsert?: true;
  /** Group and plural under which the objects are stored, when not the row's own. */
  readonly storage?: string;
  readonly convert?: Resource['convert'];
  readonly verbs?: readonly string[];
}

const get = (kind: string): SubresourceInfo => ({ kind, verbs: ['get'] });
const streamVerbs = ['create', 'get'];
const podSubresources: Readonly<Record<string, SubresourceInfo>> = {
  attach: { kind: 'PodAttachOptions', verbs: streamVerbs },
  binding: { kind: 'Binding', verbs: ['create'] },
  ephemeralcontainers: { kind: 'Pod', verbs: ['get', 'patch', 'update'] },
  eviction: { kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
  exec: { kind: 'PodExecOptions', verbs: streamVerbs },
  log: get('Pod'),
  portforward: { kind: 'PodPortForwardOptions', verbs: streamVerbs },
};

/** Rows by group/version. Order is the order of discovery. */
const rows: Readonly<Record<string, readonly Row[]>> = {
  v1: [
    { kind: 'Binding', plural: 'bindings', type: 'V1Binding', verbs: ['create'] },
    { kind: 'ConfigMap', plural: 'configmaps', type: 'V1ConfigMap', short: 'cm' },
    { kind: 'Endpoints', plural: 'endpoints', type: 'V1Endpoints', short: 'ep' },
    {
      kind: 'Event',
      plural: 'events',
      type: 'CoreV1Event',
      short: 'ev',
      fields:
        'involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason reportingComponent source type',
    },
    { kind: 'LimitRange', plural: 'limitranges', type: 'V1LimitRange', short: 'limits' },
    {
      kind: 'Namespace',
      plural: 'namespaces',
      type: 'V1Namespace',
      short: 'ns',
      cluster: true,
      status: true,
      name: 'label',
      fields: 'status.phase',
      sub: { finalize: { kind: 'Namespace', verbs: ['update'] } },
    },
    {
      kind: 'Node',
      plural: 'nodes',
      type: 'V1Node',
      short: 'no',
      cluster: true,
      status: true,
      fields: 'spec.unschedulable',
    },
    {
      kind: 'PersistentVolumeClaim',
      plural: 'persistentvolumeclaims',
      type: 'V1PersistentVolumeClaim',
      short: 'pvc',
      status: true,
    },
    {
      kind: 'PersistentVolume',
      plural: 'persistentvolumes',
      type: 'V1PersistentVolume',
      short: 'pv',
      cluster: true,
      status: true,
    },
    {
      kind: 'Pod',
      plural: 'pods',
      type: 'V1Pod',
      short: 'po',
      status: true,
      all: true,
      fields:
        'spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork status.phase status.podIP status.nominatedNodeName',
      sub: podSubresources,
    },
    { kind: 'PodTemplate', plural: 'podtemplates', type: 'V1PodTemplate' },
    {
      kind: 'ReplicationController',
      plural: 'replicationcontrollers',
      type: 'V1ReplicationController',
      short: 'rc',
      status: true,
      generation: true,
      scale: true,
      all: true,
      fields: 'status.replicas',
    },
    {
      kind: 'ResourceQuota',
      plural: 'resourcequotas',
      type: 'V1ResourceQuota',
      short: 'quota',
      status: true,
    },
    { kind: 'Secret', plural: 'secrets', type: 'V1Secret', fields: 'type' },
    {
      kind: 'ServiceAccount',
      plural: 'serviceaccounts',
      type: 'V1ServiceAccount',
      short: 'sa',
      sub: {
        token: { kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: ['create'] },
      },
    },
    {
      kind: 'Service',
      plural: 'services',
      type: 'V1Service',
      short: 'svc',
      status: true,
      all: true,
      name: 'label1035',
      fields: 'spec.clusterIP spec.type',
    },
  ],
  'admissionregistration.k8s.io/v1': [
    {
      kind: 'MutatingWebhookConfiguration',
      plural: 'mutatingwebhookconfigurations',
      type: 'V1MutatingWebhookConfiguration',
      cluster: true,
      generation: true,
    },
    {
      kind: 'ValidatingAdmissionPolicy',
      plural: 'validatingadmissionpolicies',
      type: 'V1ValidatingAdmissionPolicy',
      cluster: true,
      status: true,
      generation: true,
    },
    {
      kind: 'ValidatingAdmissionPolicyBinding',
      plural: 'validatingadmissionpolicybindings',
      type: 'V1ValidatingAdmissionPolicyBinding',
      cluster: true,
      generation: true,
    },
    {
      kind: 'ValidatingWebhookConfiguration',
      plural: 'validatingwebhookconfigurations',
      type: 'V1ValidatingWebhookConfiguration',
      cluster: true,
      generation: true,
    },
  ],
  'apiextensions.k8s.io/v1': [
    {
      kind: 'CustomResourceDefinition',
      plural: 'customresourcedefinitions',
      type: 'V1CustomResourceDefinition',
      short: 'crd crds',
      cluster: true,
      status: true,
      generation: true,
    },
  ],
  'apiregistration.k8s.io/v1': [
    { kind: 'APIService', plural: 'apiservices', type: 'V1APIService', cluster: true, status: true },
  ],
  'apps/v1': [
    { kind: 'ControllerRevision', plural: 'controllerrevisions', type: 'V1ControllerRevision' },
    {
      kind: 'DaemonSet',
      plural: 'daemonsets',
      type: 'V1DaemonSet',
      short: 'ds',
      status: true,
      generation: true,
      all: true,
    },
    {
      kind: 'Deployment',
      plural: 'deployments',
      type: 'V1Deployment',
      short: 'deploy',
      status: true,
      generation: true,
      scale: true,
      all: true,
    },
    {
      kind: 'ReplicaSet',
      plural: 'replicasets',
      type: 'V1ReplicaSet',
      short: 'rs',
      status: true,
      generation: true,
      scale: true,
      all: true,
      fields: 'status.replicas',
    },
    {
      kind: 'StatefulSet',
      plural: 'statefulsets',
      type: 'V1StatefulSet',
      short: 'sts',
      status: true,
      generation: true,
      scale: true,
      all: true,
    },
  ],
  'authentication.k8s.io/v1': [
    {
      kind: 'SelfSubjectReview',
      plural: 'selfsubjectreviews',
      type: 'V1SelfSubjectReview',
      cluster: true,
      verbs: ['create'],
    },
    { kind: 'TokenReview', plural: 'tokenreviews', type: 'V1TokenReview', cluster: true, verbs: ['create'] },
  ],
  'authorization.k8s.io/v1': [
    {
      kind: 'LocalSubjectAccessReview',
      plural: 'localsubjectaccessreviews',
      type: 'V1LocalSubjectAccessReview',
      verbs: ['create'],
    },
    {
      kind: 'SelfSubjectAccessReview',
      plural: 'selfsubjectaccessreviews',
      type: 'V1SelfSubjectAccessReview',
      cluster: true,
      verbs: ['create'],
    },
    {
      kind: 'SelfSubjectRulesReview',
      plural: 'selfsubjectrulesreviews',
      type: 'V1SelfSubjectRulesReview',
      cluster: true,
      verbs: ['create'],
    },
    {
      kind: 'SubjectAccessReview',
      plural: 'subjectaccessreviews',
      type: 'V1SubjectAccessReview',
      cluster: true,
      verbs: ['create'],
    },
  ],
  'autoscaling/v2': [
    {
      kind: 'HorizontalPodAutoscaler',
      plural: 'horizontalpodautoscalers',
      type: 'V2HorizontalPodAutoscaler',
      short: 'hpa',
      status: true,
      all: true,
    },
  ],
  'batch/v1': [
    {
      kind: 'CronJob',
      plural: 'cronjobs',
      type: 'V1CronJob',
      short: 'cj',
      status: true,
      generation: true,
      all: true,
    },
    {
      kind: 'Job',
      plural: 'jobs',
      type: 'V1Job',
      status: true,
      generation: true,
      all: true,
      fields: 'status.successful',
    },
  ],
  'coordination.k8s.io/v1': [{ kind: 'Lease', plural: 'leases', type: 'V1Lease', upsert: true }],
  'discovery.k8s.io/v1': [
    { kind: 'EndpointSlice', plural: 'endpointslices', type: 'V1EndpointSlice', generation: true },
  ],
  'events.k8s.io/v1': [
    {
      kind: 'Event',
      plural: 'events',
      type: 'EventsV1Event',
      short: 'ev',
      fields:
        'regarding.kind regarding.namespace regarding.name regarding.uid reason reportingController type',
      storage: 'events',
      convert: coreEventConversion,
    },
  ],
  'networking.k8s.io/v1': [
    {
      kind: 'IngressClass',
      plural: 'ingressclasses',
      type: 'V1IngressClass',
      cluster: true,
      generation: true,
    },
    { kind: 'Ingress', plural: 'ingresses', type: 'V1Ingress', short: 'ing', status: true, generation: true },
    {
      kind: 'NetworkPolicy',
      plural: 'networkpolicies',
      type: 'V1NetworkPolicy',
      short: 'netpol',
      generation: true,
    },
  ],
  'node.k8s.io/v1': [
    { kind: 'RuntimeClass', plural: 'runtimeclasses', type: 'V1RuntimeClass', cluster: true },
  ],
  'policy/v1': [
    {
      kind: 'PodDisruptionBudget',
      plural: 'poddisruptionbudgets',
      type: 'V1PodDisruptionBudget',
      short: 'pdb',
      status: true,
      generation: true,
    },
  ],
  'rbac.authorization.k8s.io/v1': [
    {
      kind: 'ClusterRoleBinding',
      plural: 'clusterrolebindings',
      type: 'V1ClusterRoleBinding',
      cluster: true,
      name: 'path',
    },
    { kind: 'ClusterRole', plural: 'clusterroles', type: 'V1ClusterRole', cluster: true, name: 'path' },
    { kind: 'RoleBinding', plural: 'rolebindings', type: 'V1RoleBinding', name: 'path' },
    { kind: 'Role', plural: 'roles', type: 'V1Role', name: 'path' },
  ],
  'scheduling.k8s.io/v1': [
    {
      kind: 'PriorityClass',
      plural: 'priorityclasses',
      type: 'V1PriorityClass',
      short: 'pc',
      cluster: true,
      generation: true,
    },
  ],
  'storage.k8s.io/v1': [
    { kind: 'CSIDriver', plural: 'csidrivers', type: 'V1CSIDriver', cluster: true },
    { kind: 'CSINode', plural: 'csinodes', type: 'V1CSINode', cluster: true },
    { kind: 'StorageClass', plural: 'storageclasses', type: 'V1StorageClass', short: 'sc', cluster: true },
    {
      kind: 'VolumeAttachment',
      plural: 'volumeattachments',
      type: 'V1VolumeAttachment',
      cluster: true,
      status: true,
    },
  ],
};

function selectorText(object: KubeObject): string {
  const selector = pathOf(object, 'spec', 'selector');
  // A replication controller's selector is a plain label map.
  return object.kind === 'ReplicationController'
    ? LabelSelector.fromObject({ matchLabels: selector ?? {} }).toString()
    : LabelSelector.fromObject(selector).toString();
}

const workloadScale: ScaleMapping = {
  specReplicas: ['spec', 'replicas'],
  statusReplicas: ['status', 'replicas'],
  selector: selectorText,
};

function toResource(gv: string, row: Row, schemas: BuiltinSchemas): Resource {
  const slash = gv.indexOf('/');
  const group = slash < 0 ? '' : gv.slice(0, slash);
  const version = gv.slice(slash + 1);
  const qualified = group === '' ? row.plural : `${row.plural}.${group}`;
  return {
    group,
    version,
    plural: row.plural,
    singular: row.kind.toLowerCase(),
    kind: row.kind,
    namespaced: row.cluster !== true,
    shortNames: row.short?.split(' ') ?? [],
    categories: [
      ...(row.all === true ? ['all'] : []),
      ...(group === 'apiextensions.k8s.io' ? ['api-extensions'] : []),
    ],
    storage: row.storage ?? qualified,
    schema: schemas.get(row.type),
    strategy: builtinStrategies[qualified] ?? {},
    nameRule: row.name ?? 'subdomain',
    hasGeneration: row.generation === true,
    hasStatus: row.status === true,
    ...(row.scale === true ? { scale: workloadScale } : {}),
    subresources: row.sub ?? {},
    columns: builtinColumns[qualified] ?? defaultColumns,
    selectableFields: row.fields?.split(' ') ?? [],
    isCustom: false,
    createsOnUpdate: row.upsert === true,
    ...(row.convert === undefined ? {} : { convert: row.convert }),
    ...(row.verbs === undefined ? {} : { verbs: row.verbs }),
  };
}

/** Builds the table of built-in resources. */
export function builtinResources(schemas: BuiltinSchemas = new BuiltinSchemas()): Resource[] {
  return Object.entries(rows).flatMap(([gv, list]) => list.map((row) => toResource(gv, row, schemas)));
}
