import { someOf } from '#base/collections/some-of.js';
import { dataplaneMode } from '#base/kube/labels.js';
import { gatewayClasses, namespaces, pods, services } from '#base/kube/resource.js';
import type { Condition, Gateway, GatewayClass, GatewayRoute, KubeObject } from '#base/kube/types.js';
import { unhonoredIn } from '../../rules/support/assess.js';
import { kindSupport } from '../../rules/support/kinds.js';
import { metadataRow } from '../../rules/support/metadata.js';
import type { KindSupport, SupportJson } from '../../rules/support/support.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf } from '../findings/finding.js';
import { editCommand, findingAbout } from './check-finding.js';
import type { ConfigurationCheck } from './configuration-check.js';

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
 * Everything that asks the mesh for something nobody does: objects of kinds that nothing acts on, fields, labels and
 * annotations. What is another implementation's (Gateways of its classes, its routes) is left to it.
 */
export const unhonoredConfiguration: ConfigurationCheck = {
  codes: ['MESH0936'],
  reads: [...kindSupport.map(({ resource }) => resource), namespaces, services, pods],
  run: (configuration) => [
    ...kindSupport.flatMap((kind) => {
      const objects = configuration
        .list<Configured>(kind.resource)
        .filter((object) => configuration.isAskedAbout(object) && isOurs(object, kind, configuration));
      return kind.fields === undefined
        ? ofKind(kind, objects, configuration)
        : ofFields(kind, objects, configuration);
    }),
    ...[namespaces, services, pods].flatMap((resource) =>
      metadataFindings(
        resource.kind,
        configuration.list(resource).filter((object) => configuration.isAskedAbout(object)),
        configuration,
      ),
    ),
  ],
};

/** Whether an object is this mesh's to act on. Routes and ListenerSets are by what the controller says of them; those of files are. */
function isOurs(object: Configured, { resource }: KindSupport, configuration: Configuration): boolean {
  if (resource.group !== gatewayApi) return true;
  const classes = configuration.list<GatewayClass>(gatewayClasses);
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
        object.status?.parents?.some(({ controllerName }) => controllerName.startsWith(ourControllers)) ===
        true
      );
  }
}

function ofKind(
  { resource, why = '' }: KindSupport,
  objects: readonly KubeObject[],
  configuration: Configuration,
): Finding[] {
  const [first] = objects;
  if (first === undefined) return [];
  return [
    warning(first, configuration, {
      message: `${resource.kind} ${namesOf(objects)}: nothing in the mesh acts on it: ${why}`,
      concerns: objects.slice(1).map(subjectOf),
      fix: `kubectl get ${resource.plural}.${resource.group} -A`,
    }),
  ];
}

function ofFields(
  { resource, fields = {} }: KindSupport,
  objects: readonly Configured[],
  configuration: Configuration,
): Finding[] {
  return objects.flatMap((object) => {
    const found = unhonoredIn(fields, object.spec ?? {}, 'spec');
    if (found.length === 0) return [];
    const parts = found.map(({ path, why }) => `${path}: ${why}`);
    return [
      warning(object, configuration, {
        message: `${resource.kind} ${nameOf(object)}: ${parts.join('; ')}`,
        fix: editCommand(object),
      }),
    ];
  });
}

function metadataFindings(
  kind: string,
  objects: readonly KubeObject[],
  configuration: Configuration,
): Finding[] {
  const found = new Map<string, { readonly text: string; readonly on: KubeObject[] }>();
  for (const object of objects) {
    const isAmbient = object.metadata.labels?.[dataplaneMode] === 'ambient';
    for (const form of ['label', 'annotation'] as const) {
      const entries = form === 'label' ? object.metadata.labels : object.metadata.annotations;
      for (const [name, value] of Object.entries(entries ?? {})) {
        // Both modes at once are a finding of their own.
        if (isAmbient && kind === 'Namespace' && name === 'istio-injection') continue;
        const row = metadataRow(form, kind, name);
        if (row === undefined || row.treatment === 'honored' || row.harmless?.includes(value) === true)
          continue;
        const known = found.get(`${form} ${name}`) ?? { text: `${form} ${name}: ${row.why ?? ''}`, on: [] };
        known.on.push(object);
        found.set(`${form} ${name}`, known);
      }
    }
  }
  return [...found.values()].flatMap(({ text, on }) => {
    const [first] = on;
    return first === undefined
      ? []
      : [
          warning(first, configuration, {
            message: `${kind} ${namesOf(on)}: ${text}`,
            concerns: on.slice(1).map(subjectOf),
            fix: editCommand(first),
          }),
        ];
  });
}

function warning(
  object: KubeObject,
  configuration: Configuration,
  of: Pick<Finding, 'message' | 'fix' | 'concerns'>,
): Finding {
  return findingAbout(object, configuration, { code: 'MESH0936', severity: 'warning', ...of });
}

function namesOf(objects: readonly KubeObject[]): string {
  return someOf(objects.map(nameOf), shownMax);
}

function nameOf({ metadata: { namespace, name } }: KubeObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
