import { honored, ignored, refused, type Support } from './support.js';

/** A label or annotation of Istio's, on the kinds it is for. */
export interface MetadataSupport extends Support {
  /** With a `*` at its end: every name that begins so. */
  readonly name: string;
  readonly form: 'label' | 'annotation';
  readonly on: readonly string[];
}

const noSidecars = 'there are no sidecars in this mesh; label the namespace istio.io/dataplane-mode=ambient';
const oneNetwork = 'the mesh is of one network; values.global.network names it';

/** Labels and annotations of the mesh. */
export const metadataSupport: readonly MetadataSupport[] = [
  { name: 'istio.io/dataplane-mode', form: 'label', on: ['Namespace', 'Pod'], ...honored() },
  {
    name: 'istio.io/use-waypoint',
    form: 'label',
    on: ['Namespace', 'ServiceAccount', 'Service', 'Pod'],
    ...honored(),
  },
  {
    name: 'istio.io/use-waypoint-namespace',
    form: 'label',
    on: ['Namespace', 'ServiceAccount', 'Service', 'Pod'],
    ...honored(),
  },
  { name: 'istio.io/ingress-use-waypoint', form: 'label', on: ['Namespace', 'Service'], ...honored() },
  { name: 'istio.io/waypoint-for', form: 'label', on: ['Gateway', 'GatewayClass'], ...honored() },
  {
    name: 'istio.io/rev',
    form: 'label',
    on: ['Gateway', 'Namespace'],
    ...honored({ why: 'Gateways of another revision than default are left alone' }),
  },
  { name: 'service.istio.io/canonical-name', form: 'label', on: ['Pod'], ...honored() },
  { name: 'service.istio.io/canonical-revision', form: 'label', on: ['Pod'], ...honored() },
  { name: 'service.istio.io/workload-name', form: 'label', on: ['Pod'], ...honored() },
  { name: 'topology.istio.io/subzone', form: 'label', on: ['Node'], ...honored() },

  { name: 'ambient.istio.io/bypass-inbound-capture', form: 'annotation', on: ['Pod'], ...honored() },
  { name: 'istio.io/reroute-virtual-interfaces', form: 'annotation', on: ['Pod'], ...honored() },
  {
    name: 'networking.istio.io/traffic-distribution',
    form: 'annotation',
    on: ['Namespace', 'Service'],
    ...honored(),
  },
  { name: 'networking.istio.io/service-type', form: 'annotation', on: ['Gateway'], ...honored() },
  { name: 'gateway.istio.io/name-override', form: 'annotation', on: ['Gateway'], ...honored() },
  { name: 'gateway.istio.io/service-account', form: 'annotation', on: ['Gateway'], ...honored() },
  { name: 'gateway.istio.io/controller-version', form: 'annotation', on: ['Gateway'], ...honored() },
  {
    name: 'istio.io/dry-run',
    form: 'annotation',
    on: ['AuthorizationPolicy'],
    ...honored({ at: ['waypoint'] }),
  },

  {
    name: 'ambient.istio.io/dns-capture',
    form: 'annotation',
    on: ['Pod'],
    ...refused('the node proxy has no DNS listener, so captured queries go unanswered', 'false'),
  },
  {
    name: 'networking.istio.io/exportTo',
    form: 'annotation',
    on: ['Service'],
    ...refused('what a Service is visible to cannot be limited in this version', '*'),
  },
  {
    name: 'istio-injection',
    form: 'label',
    on: ['Namespace'],
    ...ignored(noSidecars, 'disabled'),
  },
  {
    name: 'sidecar.istio.io/inject',
    form: 'label',
    on: ['Pod'],
    ...ignored(noSidecars, 'false'),
  },
  {
    name: 'sidecar.istio.io/inject',
    form: 'annotation',
    on: ['Pod'],
    ...ignored(noSidecars, 'false'),
  },
  // Written by injectors, read by the CNI agent: a pod with a sidecar is left alone.
  { name: 'sidecar.istio.io/status', form: 'annotation', on: ['Pod'], ...honored() },
  { name: 'sidecar.istio.io/*', form: 'annotation', on: ['Pod'], ...ignored(noSidecars) },
  {
    name: 'traffic.sidecar.istio.io/*',
    form: 'annotation',
    on: ['Pod'],
    ...refused(
      'ports and addresses cannot be left out of capture; label the pod istio.io/dataplane-mode=none',
    ),
  },
  { name: 'proxy.istio.io/*', form: 'annotation', on: ['Pod'], ...ignored(noSidecars) },
  { name: 'inject.istio.io/*', form: 'annotation', on: ['Pod'], ...ignored(noSidecars) },
  { name: 'topology.istio.io/network', form: 'label', on: ['Pod'], ...ignored(oneNetwork) },
];

/** The row of a label or annotation on a kind; undefined when it is none of the mesh's. */
export function metadataRow(
  form: MetadataSupport['form'],
  kind: string,
  name: string,
): MetadataSupport | undefined {
  const candidates = metadataSupport.filter((row) => row.form === form && row.on.includes(kind));
  return (
    candidates.find((row) => row.name === name) ??
    candidates.find((row) => row.name.endsWith('*') && name.startsWith(row.name.slice(0, -1)))
  );
}
