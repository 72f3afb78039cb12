import type { KubeClient } from '#base/kube/client.js';
import {
  customResourceDefinitions,
  gatewayClasses,
  namespaces,
  pods,
  type Resource,
  services,
} from '#base/kube/resource.js';
import { isNotFound } from '#base/kube/api-error.js';
import type {
  Condition,
  CustomResourceDefinition,
  Gateway,
  GatewayClass,
  KubeObject,
  GatewayRoute,
} from '#base/kube/types.js';
import { unhonoredIn } from '../rules/support/assess.js';
import { kindSupport } from '../rules/support/kinds.js';
import { metadataRow } from '../rules/support/metadata.js';
import type { SupportJson, KindSupport } from '../rules/support/support.js';
import type { Finding } from './findings/finding.js';

type Configured = KubeObject & {
  readonly spec?: SupportJson;
  readonly status?: GatewayRoute['status'] & { readonly conditions?: readonly Condition[] };
};

const gatewayApi = 'gateway.networking.k8s.io';
/** Under which names this mesh's controller answers for Gateway classes, and for routes. */
const ourControllers = 'istio.io/';

/** Names shown of many. */
const shownMax = 5;

/**
 * Everything in the cluster that asks the mesh for something nobody does: objects of kinds that nothing acts on,
 * fields, labels and annotations. What is another implementation's (Gateways of its classes, its routes) is left to it.
 */
export async function unhonoredFindings(client: KubeClient): Promise<readonly Finding[]> {
  const [crds, classes] = await Promise.all([
    client.list<CustomResourceDefinition>(customResourceDefinitions),
    listIfKnown<GatewayClass>(client, gatewayClasses),
  ]);
  const byName = new Map(crds.map((crd) => [crd.metadata.name, crd]));
  const ofKinds = await Promise.all(
    kindSupport.map(async (kind) => {
      const resource = servedResource(kind.resource, byName);
      if (resource === undefined) return [];
      const objects = (await listIfKnown<Configured>(client, resource)).filter((o) =>
        isOurs(o, kind, classes),
      );
      return kind.fields === undefined ? ofKind(kind, objects) : ofFields(kind, objects);
    }),
  );
  const ofMetadata = await Promise.all(
    [namespaces, services, pods].map(async (resource) =>
      metadataFindings(resource.kind, await client.list<KubeObject>(resource)),
    ),
  );
  return [...ofKinds, ...ofMetadata].flat();
}

/** The kind in a version that is served; undefined when the cluster does not know the kind. */
function servedResource(
  resource: Resource,
  crds: ReadonlyMap<string, CustomResourceDefinition>,
): Resource | undefined {
  const served = (crds.get(`${resource.plural}.${resource.group}`)?.spec.versions ?? []).filter(
    (v) => v.served,
  );
  const version = served.find(({ name }) => name === resource.version) ?? served[0];
  return version === undefined ? undefined : { ...resource, version: version.name };
}

/** Whether an object is this mesh's to act on. Routes and ListenerSets are by what the controller says of them. */
function isOurs(object: Configured, { resource }: KindSupport, classes: readonly GatewayClass[]): boolean {
  if (resource.group !== gatewayApi) return true;
  const isOurClass = (name: string): boolean =>
    classes.some(
      ({ metadata, spec }) => metadata.name === name && spec.controllerName.startsWith(ourControllers),
    );
  switch (resource.kind) {
    case 'GatewayClass':
      return isOurClass(object.metadata.name);
    case 'Gateway':
      return isOurClass((object as unknown as Gateway).spec.gatewayClassName);
    case 'ListenerSet':
      return object.status?.conditions?.some(({ reason }) => reason === 'NotAllowed') === true;
    case 'BackendTLSPolicy':
    case 'ReferenceGrant':
      return classes.every(({ metadata }) => isOurClass(metadata.name));
    default:
      return (
        object.status?.parents.some(({ controllerName }) => controllerName.startsWith(ourControllers)) ===
        true
      );
  }
}

function ofKind({ resource, why = '' }: KindSupport, objects: readonly KubeObject[]): Finding[] {
  if (objects.length === 0) return [];
  return [finding(`${resource.kind} ${namesOf(objects)}: nothing in the mesh acts on it: ${why}`)];
}

function ofFields({ resource, fields = {} }: KindSupport, objects: readonly Configured[]): Finding[] {
  return objects.flatMap((object) => {
    const found = unhonoredIn(fields, object.spec ?? {}, 'spec');
    if (found.length === 0) return [];
    const parts = found.map(({ path, why }) => `${path}: ${why}`);
    return [finding(`${resource.kind} ${nameOf(object)}: ${parts.join('; ')}`)];
  });
}

function metadataFindings(kind: string, objects: readonly KubeObject[]): Finding[] {
  const found = new Map<string, { readonly text: string; readonly on: KubeObject[] }>();
  for (const object of objects) {
    for (const form of ['label', 'annotation'] as const) {
      const entries = form === 'label' ? object.metadata.labels : object.metadata.annotations;
      for (const [name, value] of Object.entries(entries ?? {})) {
        const row = metadataRow(form, kind, name);
        if (row === undefined || row.treatment === 'honored' || row.harmless?.includes(value) === true)
          continue;
        const known = found.get(`${form} ${name}`) ?? { text: `${form} ${name}: ${row.why ?? ''}`, on: [] };
        known.on.push(object);
        found.set(`${form} ${name}`, known);
      }
    }
  }
  return [...found.values()].map(({ text, on }) => finding(`${kind} ${namesOf(on)}: ${text}`));
}

function finding(message: string): Finding {
  return { code: 'MESH0936', severity: 'warning', message };
}

function namesOf(objects: readonly KubeObject[]): string {
  const shown = objects.slice(0, shownMax).map(nameOf).join(', ');
  const rest = objects.length - shownMax;
  return rest > 0 ? `${shown} and ${rest} more` : shown;
}

function nameOf({ metadata: { namespace, name } }: KubeObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

async function listIfKnown<T extends KubeObject>(
  client: KubeClient,
  resource: Resource,
): Promise<readonly T[]> {
  try {
    return await client.list<T>(resource);
  } catch (error) {
    if (isNotFound(error)) return [];
    throw error;
  }
}
