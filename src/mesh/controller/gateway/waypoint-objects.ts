import * as labels from '#base/kube/labels.js';
import { deployments, serviceAccounts, services, type Resource } from '#base/kube/resource.js';
import type { MeshNames } from '../../rules/trust-domain.js';
import type {
  Deployment,
  Gateway,
  KubeObject,
  ObjectMeta,
  PodSpec,
  Service,
  ServiceAccount,
  ServicePort,
} from '#base/kube/types.js';
import { mapIn, type TemplateFiles } from '../../templates/files.js';
import { renderDocument } from '../../templates/render.js';
import type { ValueMap } from '../../templates/values.js';

/** Install-time settings of waypoints. */
export interface WaypointSettings {
  readonly image: string;
  readonly imagePullPolicy: string;
  /** Names of Secrets; they have to be in the waypoint's namespace. */
  readonly imagePullSecrets: readonly string[];
  /** Container resources; undefined leaves them to the cluster's defaults. */
  readonly resources: unknown;
  /** Of the proxy's own log: `json` or `plain`. */
  readonly logFormat: string;
  readonly revision: string;
  readonly clusterDomain: string;
  readonly clusterId: string;
  readonly network: string;
  /** `host:port` of this controller's TLS service. */
  readonly discoveryAddress: string;
}

/** An object to be applied, with where its kind lives. */
export interface RenderedObject {
  readonly resource: Resource;
  readonly object: KubeObject;
}

/** Renders the objects of a waypoint. */
export type WaypointRenderer = (
  gateway: Gateway,
  context: { readonly controllerName: string; readonly names: MeshNames },
) => readonly RenderedObject[];

const serviceAccountAnnotation = 'gateway.istio.io/service-account';
const serviceTypeAnnotation = 'networking.istio.io/service-type';
const nameOverrideAnnotation = 'gateway.istio.io/name-override';
/** Metadata of the Gateway that never goes to its objects. */
const notCopied: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  nameOverrideAnnotation,
  serviceAccountAnnotation,
  'gateway.istio.io/controller-version',
]);
const statusPort: ServicePort = { name: 'status-port', port: 15021, protocol: 'TCP', appProtocol: 'tcp' };
/** Longest port name Kubernetes takes for a Service. */
const maxPortName = 63;

/** Name of a Gateway's Deployment and Service. */
export function waypointObjectName(gateway: Gateway): string {
  return gateway.metadata.annotations?.[nameOverrideAnnotation] ?? gateway.metadata.name;
}

/** The renderer of the templates below `waypoint/`. Throws MESH0304 when one of them is missing or broken. */
export function createWaypointRenderer(files: TemplateFiles, settings: WaypointSettings): WaypointRenderer {
  const serviceAccount = objectTemplate<ServiceAccount>(files, 'service-account');
  const deployment = objectTemplate<Deployment>(files, 'deployment');
  const service = objectTemplate<Service>(files, 'service');
  return (gateway, context) => {
    const name = waypointObjectName(gateway);
    const values = {
      name,
      gateway: gateway.metadata.name,
      namespace: gateway.metadata.namespace ?? '',
      serviceAccount: gateway.metadata.annotations?.[serviceAccountAnnotation] ?? name,
      trustDomain: context.names.trustDomain,
      trustDomainAliases: context.names.trustDomainAliases,
      image: settings.image,
      imagePullPolicy: settings.imagePullPolicy,
      logFormat: settings.logFormat,
      revision: settings.revision,
      clusterDomain: settings.clusterDomain,
      clusterId: settings.clusterId,
      network: settings.network,
      discoveryAddress: settings.discoveryAddress,
    };
    const finish = <T extends KubeObject>(object: T): T => decorate(object, gateway, context.controllerName);
    return [
      { resource: serviceAccounts, object: finish(serviceAccount(values)) },
      {
        resource: deployments,
        object: finish(withPodSettings(deployment(values), { gateway, context, settings })),
      },
      { resource: services, object: finish(withPorts(service(values), gateway)) },
    ];
  };
}

/** Renders `templates/waypoint/NAME.yaml`, which has the shape of its kind. */
function objectTemplate<T extends KubeObject>(files: TemplateFiles, name: string): (scope: ValueMap) => T {
  const where = `waypoint/${name}.yaml`;
  const template = mapIn(files, where);
  return (scope) => renderDocument(template, scope, where) as unknown as T;
}

/** Labels that mark every object of a Gateway. */
function ownLabels(gateway: Gateway, controllerName: string): Record<string, string> {
  return {
    [labels.gatewayName]: gateway.metadata.name,
    [labels.gatewayClassName]: gateway.spec.gatewayClassName,
    [labels.gatewayManaged]: controllerName.replaceAll('/', '-'),
  };
}

/** Labels and annotations the user wants on the objects. */
function wanted(gateway: Gateway): {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
} {
  const { infrastructure } = gateway.spec;
  const source = infrastructure?.labels ?? infrastructure?.annotations;
  const from =
    source === undefined
      ? gateway.metadata
      : { labels: infrastructure?.labels ?? {}, annotations: infrastructure?.annotations ?? {} };
  const keep = (entries: Record<string, string> | undefined) =>
    Object.fromEntries(
      Object.entries(entries ?? {}).filter(
        ([key]) => !notCopied.has(key) && !key.startsWith('gateway.networking.k8s.io/'),
      ),
    );
  return { labels: keep(from.labels), annotations: keep(from.annotations) };
}

function decorate<T extends KubeObject>(object: T, gateway: Gateway, controllerName: string): T {
  const user = wanted(gateway);
  const metadata: ObjectMeta = {
    ...object.metadata,
    labels: { ...object.metadata.labels, ...user.labels, ...ownLabels(gateway, controllerName) },
    annotations: { ...object.metadata.annotations, ...user.annotations },
    ownerReferences: [
      {
        apiVersion: gateway.apiVersion,
        kind: gateway.kind,
        name: gateway.metadata.name,
        uid: gateway.metadata.uid ?? '',
      },
    ],
  };
  return { ...object, metadata };
}

function withPodSettings(
  deployment: Deployment,
  from: {
    readonly gateway: Gateway;
    readonly context: { readonly controllerName: string };
    readonly settings: WaypointSettings;
  },
): Deployment {
  const { gateway, context, settings } = from;
  const { template } = deployment.spec;
  const user = wanted(gateway);
  const selectorName = { [labels.gatewayName]: gateway.metadata.name };
  const containers =
    settings.resources === undefined
      ? template.spec.containers
      : template.spec.containers.map((container) => ({
          ...container,
          resources: settings.resources as object,
        }));
  return {
    ...deployment,
    spec: {
      ...deployment.spec,
      selector: { matchLabels: selectorName },
      template: {
        ...template,
        metadata: {
          ...template.metadata,
          labels: {
            ...template.metadata?.labels,
            ...user.labels,
            ...ownLabels(gateway, context.controllerName),
          },
          annotations: { ...template.metadata?.annotations, ...user.annotations },
        },
        spec: { ...template.spec, ...pullSecrets(settings), containers },
      },
    },
  };
}

/** Without any, the service account's stay. */
function pullSecrets({ imagePullSecrets }: WaypointSettings): Pick<PodSpec, 'imagePullSecrets'> {
  return imagePullSecrets.length === 0
    ? {}
    : { imagePullSecrets: imagePullSecrets.map((name) => ({ name })) };
}

function withPorts(service: Service, gateway: Gateway): Service {
  const type = gateway.metadata.annotations?.[serviceTypeAnnotation];
  return {
    ...service,
    spec: {
      ...service.spec,
      ...(type === undefined ? {} : { type }),
      ports: servicePorts(gateway),
      selector: { [labels.gatewayName]: gateway.metadata.name },
    },
  };
}

/** The status port and one port for each port number listened on. */
export function servicePorts(gateway: Gateway): ServicePort[] {
  const ports: ServicePort[] = [statusPort];
  for (const listener of gateway.spec.listeners) {
    if (ports.some(({ port }) => port === listener.port)) continue;
    ports.push({
      name: uniqueName(listener.name.replaceAll('.', '-'), ports),
      port: listener.port,
      protocol: 'TCP',
      appProtocol: listener.protocol.toLowerCase(),
    });
  }
  return ports;
}

function uniqueName(wantedName: string, taken: readonly ServicePort[]): string {
  const base = wantedName.slice(0, maxPortName);
  if (!taken.some(({ name }) => name === base)) return base;
  for (let n = taken.length; ; n++) {
    const suffix = `-${n}`;
    const candidate = `${base.slice(0, maxPortName - suffix.length)}${suffix}`;
    if (!taken.some(({ name }) => name === candidate)) return candidate;
  }
}
