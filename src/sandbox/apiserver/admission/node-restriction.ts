import { apiError } from '../api-error.js';
import { equalJson, type JsonObject, objectOf, objectsOf, stringOf } from '../../base/json.js';
import { commonNameOf, parseRequest } from '../kinds/certificates/signing-request.js';
import type { ApiObject } from '../object.js';
import { nodeOfUser } from '../rbac/node-authorizer.js';
import type { Store } from '../storage/store.js';
import type { AdmissionPlugin, AdmissionRequest } from '../registry/admission.js';
import { targetOf } from './match/rules.js';

const mirrorAnnotation = 'kubernetes.io/config.mirror';
/** Signers of the certificates by which nodes are known. */
const nodeSigners = ['kubernetes.io/kubelet-serving', 'kubernetes.io/kube-apiserver-client-kubelet'];
const leaseNamespace = 'kube-node-lease';
const restrictedPrefix = 'node-restriction.kubernetes.io';
/** Labels under kubernetes.io that a kubelet may set on its own node. */
const kubeletLabels: ReadonlySet<string> = new Set([
  'kubernetes.io/hostname',
  'kubernetes.io/arch',
  'kubernetes.io/os',
  'beta.kubernetes.io/instance-type',
  'node.kubernetes.io/instance-type',
  'failure-domain.beta.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'topology.kubernetes.io/zone',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
]);
const kubeletLabelDomains = ['kubelet.kubernetes.io', 'node.kubernetes.io'];

/** Nodes write only themselves and what runs on them, whatever their role would let them. */
export function nodeRestriction(store: Store): AdmissionPlugin {
  const check = (request: AdmissionRequest): void => {
    const node = nodeOfUser(request.user);
    if (node === undefined) return;
    switch (request.resource.storage) {
      case 'pods':
        return checkPod(request, node, store);
      case 'nodes':
        return checkNode(request, node);
      case 'serviceaccounts':
        return checkToken(request, node, store);
      case 'leases.coordination.k8s.io':
      case 'csinodes.storage.k8s.io':
        return checkNamed(request, node);
      case 'certificatesigningrequests.certificates.k8s.io':
        return checkSigningRequest(request, node);
    }
  };
  return { name: 'NodeRestriction', admit: check };
}

function refuse(request: AdmissionRequest, detail: string): never {
  throw apiError.forbidden(request.resource, targetOf(request).name, detail);
}

const specOf = (object: ApiObject | undefined): JsonObject => objectOf(object?.spec);

function checkPod(request: AdmissionRequest, node: string, store: Store): void {
  const { operation, object, subresource = '' } = request;
  const { namespace, name } = targetOf(request);
  const who = JSON.stringify(node);
  const isOwn = (pod: ApiObject | undefined): boolean => specOf(pod).nodeName === node;
  if (subresource === 'eviction') {
    if (!isOwn(store.get('pods', namespace, name))) {
      refuse(request, `node ${who} can only evict pods with spec.nodeName set to itself`);
    }
    return;
  }
  if (subresource === 'status') {
    if (!isOwn(request.old))
      refuse(request, `node ${who} can only update pod status for pods with spec.nodeName set to itself`);
    if (!equalJson(object.metadata.labels, request.old?.metadata.labels)) {
      refuse(request, `node ${who} cannot update labels through pod status`);
    }
    return;
  }
  if (subresource !== '')
    refuse(
      request,
      `unexpected pod subresource ${JSON.stringify(subresource)}, only 'status' and 'eviction' are allowed`,
    );
  if (operation === 'DELETE') {
    if (!isOwn(request.old))
      refuse(request, `node ${who} can only delete pods with spec.nodeName set to itself`);
    return;
  }
  if (operation !== 'CREATE')
    refuse(
      request,
      `unexpected operation ${JSON.stringify(operation)}, node ${who} can only create and delete mirror pods`,
    );
  if (object.metadata.annotations?.[mirrorAnnotation] === undefined) {
    refuse(
      request,
      `pod does not have ${JSON.stringify(mirrorAnnotation)} annotation, node ${who} can only create mirror pods`,
    );
  }
  if (!isOwn(object)) refuse(request, `node ${who} can only create pods with spec.nodeName set to itself`);
  const spec = specOf(object);
  if (stringOf(spec.serviceAccountName) !== '')
    refuse(request, `node ${who} can not create pods that reference a service account`);
  const referenced = objectsOf(spec.volumes).find((v) =>
    ['secret', 'configMap', 'persistentVolumeClaim', 'projected'].some((kind) => v[kind] !== undefined),
  );
  if (referenced !== undefined) {
    refuse(
      request,
      `node ${who} can not create pods that reference secrets, configmaps or persistentvolumeclaims`,
    );
  }
}

function forbiddenLabels(object: ApiObject, old: ApiObject | undefined): string[] {
  const now = object.metadata.labels ?? {};
  const before = old?.metadata.labels ?? {};
  const changed = [...new Set([...Object.keys(now), ...Object.keys(before)])].filter(
    (key) => now[key] !== before[key],
  );
  return changed.filter((key) => {
    const slash = key.indexOf('/');
    const domain = slash < 0 ? '' : key.slice(0, slash);
    const isUnder = (parent: string): boolean => domain === parent || domain.endsWith(`.${parent}`);
    if (isUnder(restrictedPrefix)) return true;
    if (!isUnder('kubernetes.io') && !isUnder('k8s.io')) return false;
    return !kubeletLabels.has(key) && !kubeletLabelDomains.some(isUnder);
  });
}

function checkNode(request: AdmissionRequest, node: string): void {
  const { operation, object, old } = request;
  const who = JSON.stringify(node);
  if (operation === 'CREATE' || operation === 'UPDATE') {
    if (targetOf(request).name !== node)
      refuse(request, `node ${who} is not allowed to modify node ${JSON.stringify(targetOf(request).name)}`);
    const labels = forbiddenLabels(object, old).sort();
    if (labels.length > 0)
      refuse(
        request,
        `is not allowed to ${operation === 'CREATE' ? 'set' : 'modify'} labels: ${labels.join(', ')}`,
      );
    if (operation === 'UPDATE' && !equalJson(specOf(object).taints ?? [], specOf(old).taints ?? [])) {
      refuse(request, `node ${who} is not allowed to modify taints`);
    }
  } else if (operation === 'DELETE' && targetOf(request).name !== node) {
    refuse(request, `node ${who} is not allowed to modify node ${JSON.stringify(targetOf(request).name)}`);
  }
}

function checkToken(request: AdmissionRequest, node: string, store: Store): void {
  if (request.operation !== 'CREATE' || request.subresource !== 'token') return;
  const { namespace, name } = targetOf(request);
  const ref = objectOf(specOf(request.object).boundObjectRef);
  if (ref.kind !== 'Pod' || ref.apiVersion !== 'v1' || stringOf(ref.name) === '') {
    refuse(request, 'node requested token not bound to a pod');
  }
  if (stringOf(ref.uid) === '') refuse(request, 'node requested token with a pod binding without a uid');
  const pod = store.get('pods', namespace, stringOf(ref.name));
  if (pod === undefined) throw apiError.notFound({ group: '', plural: 'pods' }, stringOf(ref.name));
  if (pod.metadata.uid !== ref.uid) {
    refuse(
      request,
      `the UID in the bound object reference (${stringOf(ref.uid)}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  if (specOf(pod).nodeName !== node)
    refuse(request, 'node requested token bound to a pod scheduled on a different node');
  if (specOf(pod).serviceAccountName !== name) {
    refuse(
      request,
      `node requested token with a pod that uses another service account than ${JSON.stringify(name)}`,
    );
  }
}

/** Leases and CSI nodes are named after their node. */
function checkNamed(request: AdmissionRequest, node: string): void {
  const { namespace, name } = targetOf(request);
  const isLease = request.resource.plural === 'leases';
  if (isLease && namespace !== leaseNamespace) {
    refuse(request, `can only access leases in the ${JSON.stringify(leaseNamespace)} system namespace`);
  }
  if (name !== node)
    refuse(
      request,
      `can only access ${isLease ? 'node lease' : 'CSINode'} with the same name as the requesting node`,
    );
}

/** A node asks for certificates in its own name only. */
function checkSigningRequest(request: AdmissionRequest, node: string): void {
  const spec = specOf(request.object);
  if (request.operation !== 'CREATE' || !nodeSigners.includes(stringOf(spec.signerName))) return;
  const name = `system:node:${node}`;
  let asked: string;
  try {
    asked = commonNameOf(parseRequest(spec));
  } catch (error) {
    return refuse(request, `unable to parse csr: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (asked !== name) refuse(request, `can only create a node CSR with CN=${name}`);
}
