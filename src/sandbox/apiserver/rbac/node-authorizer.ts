import type { UserInfo } from '../user.js';
import { isObject, type Json, objectOf, objectsOf, valueIn, stringOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { ObjectReader } from '../registry/resource.js';
import data from './bootstrap-rbac.json' with { type: 'json' };
import type { Attributes, AccessDecision } from './attributes.js';

type ResourceAttributes = Extract<Attributes, { kind: 'resource' }>;

const userPrefix = 'system:node:';
const nodesGroup = 'system:nodes';
const leaseNamespace = 'kube-node-lease';
const readVerbs = ['get', 'list', 'watch'];
const ownVerbs = ['get', 'create', 'update', 'patch', 'delete'];

const allowed: AccessDecision = { isAllowed: true, reason: '' };
const refused = (reason: string): AccessDecision => ({ isAllowed: false, reason });

/** The node a user is; undefined for users that are no node. */
export function nodeOfUser(user: UserInfo): string | undefined {
  if (!user.username.startsWith(userPrefix) || !user.groups.includes(nodesGroup)) return undefined;
  return user.username.slice(userPrefix.length);
}

/** What every node may do as such, of what is not decided object by object. */
const staticRules = data.clusterRoles['system:node'].rules.map((text) => {
  const [verbs = [], groups = [], resources = []] = text.split(' | ').map((part) => part.split(','));
  return { verbs, groups: groups.map((g) => (g === 'core' ? '' : g)), resources };
});

function isStaticallyAllowed(a: ResourceAttributes): boolean {
  const wanted = a.subresource === '' ? a.resource : `${a.resource}/${a.subresource}`;
  return staticRules.some(
    (r) => r.verbs.includes(a.verb) && r.groups.includes(a.group) && r.resources.includes(wanted),
  );
}

/** Every value below a key, at any depth. */
function* valuesOf(value: Json | undefined, key: string): Generator<Json> {
  if (Array.isArray(value)) for (const v of value as Json[]) yield* valuesOf(v, key);
  if (!isObject(value)) return;
  for (const [k, v] of Object.entries(value)) {
    if (v === undefined) continue;
    if (k === key) yield v;
    else yield* valuesOf(v, key);
  }
}

function hasNamed(pod: ApiObject, keys: readonly string[], field: string, name: string): boolean {
  return keys.some((key) =>
    [...valuesOf(pod.spec, key)].some(
      (v) => (typeof v === 'string' ? v : stringOf(objectOf(v)[field])) === name,
    ),
  );
}

function usesSecret(pod: ApiObject, name: string): boolean {
  if (objectsOf(valueIn(pod, 'spec', 'imagePullSecrets')).some((s) => s.name === name)) return true;
  const volumes = valueIn(pod, 'spec', 'volumes');
  const inVolumes = [...valuesOf(volumes, 'secret')].some(
    (s) => objectOf(s).secretName === name || objectOf(s).name === name,
  );
  return (
    inVolumes ||
    hasNamed(pod, ['secretKeyRef', 'secretRef', 'nodePublishSecretRef'], 'name', name) ||
    [...valuesOf(volumes, 'azureFile')].some((f) => objectOf(f).secretName === name)
  );
}

function usesConfigMap(pod: ApiObject, name: string): boolean {
  return hasNamed(pod, ['configMap', 'configMapKeyRef', 'configMapRef'], 'name', name);
}

function usesClaim(pod: ApiObject, name: string): boolean {
  if (hasNamed(pod, ['persistentVolumeClaim'], 'claimName', name)) return true;
  // A claim made for a generic ephemeral volume is named after pod and volume.
  return objectsOf(valueIn(pod, 'spec', 'volumes')).some(
    (v) => isObject(v.ephemeral) && `${pod.metadata.name}-${stringOf(v.name)}` === name,
  );
}

/**
 * Limits nodes to what their pods need: the secrets, config maps, claims and
 * service accounts that pods bound to the node refer to, and the node's own
 * objects.
 */
export class NodeAuthorizer {
  readonly #reader: ObjectReader;

  constructor(reader: ObjectReader) {
    this.#reader = reader;
  }

  /** Undefined for users that are no node. */
  authorize(user: UserInfo, a: Attributes): AccessDecision | undefined {
    const node = nodeOfUser(user);
    if (node === undefined) return undefined;
    if (a.kind === 'path') return refused('');
    switch (a.group === '' ? a.resource : `${a.resource}.${a.group}`) {
      case 'secrets':
        return this.#readReferenced(node, a, usesSecret);
      case 'configmaps':
        return this.#readReferenced(node, a, usesConfigMap);
      case 'persistentvolumeclaims':
        if (a.subresource === 'status') {
          return ['get', 'update', 'patch'].includes(a.verb)
            ? this.#related(node, a, usesClaim)
            : refused('can only get/update/patch this type');
        }
        return this.#getReferenced(node, a, usesClaim);
      case 'persistentvolumes':
        return this.#volume(node, a);
      case 'serviceaccounts':
        if (a.verb !== 'create' || a.subresource !== 'token')
          return refused('can only create tokens for individual service accounts');
        return this.#related(node, a, (pod, name) => valueIn(pod, 'spec', 'serviceAccountName') === name);
      case 'leases.coordination.k8s.io':
        return lease(node, a);
      case 'csinodes.storage.k8s.io':
        if (!ownVerbs.includes(a.verb))
          return refused('can only get, create, update, patch, or delete a CSINode');
        return a.verb === 'create' || a.name === node
          ? allowed
          : refused('can only access CSINode with the same name as the requesting node');
      case 'nodes':
        return ownNode(node, a);
      case 'pods':
        return this.#pods(node, a);
      default:
        return isStaticallyAllowed(a) ? allowed : refused('');
    }
  }

  *#podsOn(node: string, namespace?: string): Generator<ApiObject> {
    for (const pod of this.#reader.list('pods', namespace)) {
      if (valueIn(pod, 'spec', 'nodeName') === node) yield pod;
    }
  }

  #related(
    node: string,
    a: ResourceAttributes,
    uses: (pod: ApiObject, name: string) => boolean,
  ): AccessDecision {
    if (a.name === '') return refused('No Object name found');
    for (const pod of this.#podsOn(node, a.namespace)) if (uses(pod, a.name)) return allowed;
    return refused(`no relationship found between node '${node}' and this object`);
  }

  #readReferenced(
    node: string,
    a: ResourceAttributes,
    uses: (pod: ApiObject, name: string) => boolean,
  ): AccessDecision {
    if (!readVerbs.includes(a.verb)) return refused('can only read resources of this type');
    if (a.subresource !== '') return refused('cannot read subresource');
    if (a.namespace === '') return refused('can only read namespaced object of this type');
    return this.#related(node, a, uses);
  }

  #getReferenced(
    node: string,
    a: ResourceAttributes,
    uses: (pod: ApiObject, name: string) => boolean,
  ): AccessDecision {
    if (a.verb !== 'get') return refused('can only get individual resources of this type');
    if (a.subresource !== '') return refused('cannot get subresource');
    return this.#related(node, a, uses);
  }

  #volume(node: string, a: ResourceAttributes): AccessDecision {
    if (a.verb !== 'get') return refused('can only get individual resources of this type');
    if (a.subresource !== '') return refused('cannot get subresource');
    const claim = objectOf(
      valueIn(this.#reader.get('persistentvolumes', undefined, a.name), 'spec', 'claimRef'),
    );
    const namespace = stringOf(claim.namespace);
    if (namespace === '') return refused(`no relationship found between node '${node}' and this object`);
    return this.#related(node, { ...a, namespace, name: stringOf(claim.name) }, usesClaim);
  }

  #pods(node: string, a: ResourceAttributes): AccessDecision {
    switch (a.subresource) {
      case '':
        break;
      case 'status':
        return a.verb === 'update' || a.verb === 'patch'
          ? allowed
          : refused('can only update/patch pod status');
      case 'eviction':
        return a.verb === 'create' ? allowed : refused('can only create evictions');
      default:
        return refused('');
    }
    switch (a.verb) {
      case 'get': {
        const pod = this.#reader.get('pods', a.namespace, a.name);
        return valueIn(pod, 'spec', 'nodeName') === node
          ? allowed
          : refused(`no relationship found between node '${node}' and this object`);
      }
      case 'list':
      case 'watch':
        return a.selectedNode === node
          ? allowed
          : refused('can only list/watch pods with spec.nodeName field selector');
      case 'create':
      case 'delete':
        // For mirror pods; admission keeps nodes from touching others.
        return allowed;
      default:
        return refused('');
    }
  }
}

function lease(node: string, a: ResourceAttributes): AccessDecision {
  if (a.namespace !== leaseNamespace) {
    return refused(`can only access leases in the "${leaseNamespace}" system namespace`);
  }
  if (!ownVerbs.includes(a.verb))
    return refused('can only get, create, update, patch, or delete a node lease');
  return a.verb === 'create' || a.name === node
    ? allowed
    : refused('can only access node lease with the same name as the requesting node');
}

function ownNode(node: string, a: ResourceAttributes): AccessDecision {
  if (a.subresource !== '' && a.subresource !== 'status') return refused('');
  switch (a.verb) {
    case 'create':
    case 'update':
    case 'patch':
      // Which node it is about is for admission to see.
      return allowed;
    case 'get':
    case 'list':
    case 'watch':
      if (a.name === node) return allowed;
      return refused(
        a.name === ''
          ? `node '${node}' cannot read all nodes, only its own Node object`
          : `node '${node}' cannot read '${a.name}', only its own Node object`,
      );
    default:
      return refused('');
  }
}
