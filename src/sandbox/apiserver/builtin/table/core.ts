import { standardVerbs } from '../../registry/resource.js';
import type { SubresourceInfo } from '../../registry/resource.js';
import type { Rows } from './row.js';

const streamVerbs = ['create', 'get'];
const proxyVerbs = ['create', 'delete', 'get', 'patch', 'update'];
const proxy = (kind: string): SubresourceInfo => ({ kind, verbs: proxyVerbs });

/** The core group. */
export const coreRows: Rows = {
  v1: [
    { kind: 'Binding', plural: 'bindings', verbs: ['create'] },
    {
      kind: 'ComponentStatus',
      plural: 'componentstatuses',
      short: 'cs',
      cluster: true,
      verbs: ['get', 'list'],
      deprecation: 'v1 ComponentStatus is deprecated in v1.19+',
    },
    { kind: 'ConfigMap', plural: 'configmaps', short: 'cm' },
    { kind: 'Endpoints', plural: 'endpoints', short: 'ep', upsert: true },
    {
      kind: 'Event',
      plural: 'events',
      short: 'ev',
      upsert: true,
      fields:
        'involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid involvedObject.apiVersion involvedObject.resourceVersion involvedObject.fieldPath reason reportingComponent source type',
    },
    { kind: 'LimitRange', plural: 'limitranges', short: 'limits', upsert: true },
    {
      kind: 'Namespace',
      plural: 'namespaces',
      short: 'ns',
      cluster: true,
      status: true,
      name: 'label',
      fields: 'status.phase',
      verbs: standardVerbs.filter((v) => v !== 'deletecollection'),
      sub: { finalize: { kind: 'Namespace', verbs: ['update'] } },
    },
    {
      kind: 'Node',
      plural: 'nodes',
      short: 'no',
      cluster: true,
      status: true,
      fields: 'spec.unschedulable',
      sub: { proxy: proxy('NodeProxyOptions') },
    },
    { kind: 'PersistentVolumeClaim', plural: 'persistentvolumeclaims', short: 'pvc', status: true },
    { kind: 'PersistentVolume', plural: 'persistentvolumes', short: 'pv', cluster: true, status: true },
    {
      kind: 'Pod',
      plural: 'pods',
      short: 'po',
      status: true,
      categories: ['all'],
      fields:
        'spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName spec.hostNetwork status.phase status.podIP status.nominatedNodeName',
      sub: {
        attach: { kind: 'PodAttachOptions', verbs: streamVerbs },
        binding: { kind: 'Binding', verbs: ['create'] },
        ephemeralcontainers: { kind: 'Pod', verbs: ['get', 'patch', 'update'] },
        eviction: { kind: 'Eviction', group: 'policy', version: 'v1', verbs: ['create'] },
        exec: { kind: 'PodExecOptions', verbs: streamVerbs },
        log: { kind: 'Pod', verbs: ['get'] },
        portforward: { kind: 'PodPortForwardOptions', verbs: streamVerbs },
        proxy: proxy('PodProxyOptions'),
      },
    },
    { kind: 'PodTemplate', plural: 'podtemplates', generation: true },
    {
      kind: 'ReplicationController',
      plural: 'replicationcontrollers',
      short: 'rc',
      status: true,
      generation: true,
      scale: true,
      categories: ['all'],
      fields: 'status.replicas',
      orphans: {},
    },
    { kind: 'ResourceQuota', plural: 'resourcequotas', short: 'quota', status: true },
    { kind: 'Secret', plural: 'secrets', fields: 'type' },
    {
      kind: 'ServiceAccount',
      plural: 'serviceaccounts',
      short: 'sa',
      sub: {
        token: { kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: ['create'] },
      },
    },
    {
      kind: 'Service',
      plural: 'services',
      short: 'svc',
      status: true,
      categories: ['all'],
      name: 'label1035',
      upsert: true,
      fields: 'spec.clusterIP spec.type',
      sub: { proxy: proxy('ServiceProxyOptions') },
    },
  ],
};
