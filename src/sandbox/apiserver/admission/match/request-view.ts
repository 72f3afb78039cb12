import { randomUUID } from 'node:crypto';
import type { Json, JsonObject } from '../../../base/json.js';
import type { ServedResource } from '../../registry/resource.js';
import type { AdmissionRequest, BodyType } from '../../registry/admission.js';
import { targetOf } from './rules.js';

const optionKinds = {
  CREATE: 'CreateOptions',
  UPDATE: 'UpdateOptions',
  DELETE: 'DeleteOptions',
  CONNECT: '',
} as const;

function kindOf(request: AdmissionRequest, as: ServedResource): BodyType {
  return request.bodyType ?? { group: as.group, version: as.version, kind: as.kind };
}

/** The options with their type; null for connections, as upstream. */
function optionsOf(request: AdmissionRequest): Json {
  const kind = optionKinds[request.operation];
  if (kind === '') return null;
  return {
    kind,
    apiVersion: 'meta.k8s.io/v1',
    ...(request.isDryRun === true ? { dryRun: ['All'] } : {}),
    ...request.options,
  };
}

/**
 * The `request` of an AdmissionReview, without its objects. `as` is the version
 * under which the request matched; the version it was made in is told beside it.
 */
export function requestView(
  request: AdmissionRequest,
  as: ServedResource,
  uid: string = randomUUID(),
): JsonObject {
  const { resource, user, subresource = '' } = request;
  const { namespace, name } = targetOf(request);
  const shownName = request.isNameGenerated === true ? '' : name;
  const plain = { ...kindOf(request, resource) };
  return {
    uid,
    kind: { ...kindOf(request, as) },
    resource: { group: as.group, version: as.version, resource: as.plural },
    ...(subresource === '' ? {} : { subResource: subresource }),
    requestKind: plain,
    requestResource: { group: resource.group, version: resource.version, resource: resource.plural },
    ...(subresource === '' ? {} : { requestSubResource: subresource }),
    ...(shownName === '' ? {} : { name: shownName }),
    ...(namespace === undefined ? {} : { namespace }),
    operation: request.operation,
    userInfo: {
      username: user.username,
      ...(user.uid === undefined || user.uid === '' ? {} : { uid: user.uid }),
      groups: [...user.groups],
      ...(Object.keys(user.extra).length === 0
        ? {}
        : { extra: Object.fromEntries(Object.entries(user.extra).map(([k, v]) => [k, [...v]])) }),
    },
    dryRun: request.isDryRun === true,
    options: optionsOf(request),
  };
}
