import { ApiError, type StatusDetails } from '../../api-error.js';
import {
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  stringOf,
  stringsOf,
} from '../../../base/json.js';
import type { ServedResource } from '../../registry/resource.js';
import type { AdmissionRequest } from '../../registry/admission.js';
import { requestView } from '../match/request-view.js';
import type { VersionedObjects } from '../match/versions.js';
import { WebhookCallError } from './client.js';

const reviewVersion = 'admission.k8s.io/v1';

/** What a webhook decided. */
export interface ReviewAnswer {
  readonly isAllowed: boolean;
  readonly status: JsonObject | undefined;
  readonly patch: Json | undefined;
  readonly warnings: readonly string[];
}

/** The body sent to a webhook, and the uid its answer must repeat. */
export function reviewOf(
  request: AdmissionRequest,
  as: ServedResource,
  { object, old }: VersionedObjects,
): { uid: string; review: JsonObject } {
  const view = requestView(request, as);
  return {
    uid: stringOf(view.uid),
    review: {
      kind: 'AdmissionReview',
      apiVersion: reviewVersion,
      request: { ...view, object, oldObject: old },
    },
  };
}

/** Reads a webhook's answer. Throws WebhookCallError when it is none. */
export function readAnswer(answer: JsonObject, uid: string, isMutating: boolean): ReviewAnswer {
  const { apiVersion, kind } = answer;
  if (apiVersion !== reviewVersion || kind !== 'AdmissionReview') {
    throw new WebhookCallError(
      `received invalid webhook response: expected webhook response of ${reviewVersion}, Kind=AdmissionReview, got ${stringOf(apiVersion)}, Kind=${stringOf(kind)}`,
    );
  }
  const { response } = answer;
  if (!isObject(response)) throw invalidAnswer('webhook response was absent');
  if (response.uid !== uid) {
    throw invalidAnswer(
      `expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(stringOf(response.uid))}`,
    );
  }
  return {
    isAllowed: response.allowed === true,
    status: isObject(response.status) ? response.status : undefined,
    patch: isMutating ? patchOf(response) : undefined,
    warnings: stringsOf(response.warnings),
  };
}

function invalidAnswer(why: string): WebhookCallError {
  return new WebhookCallError(`received invalid webhook response: ${why}`);
}

function patchOf(response: JsonObject): Json | undefined {
  const patch = stringOf(response.patch);
  const type = stringOf(response.patchType);
  if (patch === '') {
    if (type !== '') throw invalidAnswer('webhook returned response.patchType but not response.patch');
    return undefined;
  }
  if (type === '') throw invalidAnswer('webhook returned response.patch but not response.patchType');
  if (type !== 'JSONPatch')
    throw invalidAnswer(`webhook returned invalid response.patchType of ${JSON.stringify(type)}`);
  try {
    return JSON.parse(Buffer.from(patch, 'base64').toString('utf8')) as Json;
  } catch {
    throw new ApiError(500, 'InternalError', 'Internal error occurred: the patch of a webhook is no JSON');
  }
}

/** A webhook's refusal in the words and with the code it gave. */
export function refusal(webhook: string, status: JsonObject | undefined): ApiError {
  const denied = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const message = stringOf(status?.message);
  const reason = stringOf(status?.reason);
  const code = numberOf(status?.code) ?? 0;
  const explanation = message === '' ? reason : message;
  return new ApiError(
    code < 400 || code > 599 ? 400 : code,
    reason,
    explanation === '' ? `${denied} without explanation` : `${denied}: ${explanation}`,
    isObject(status?.details) ? (objectOf(status.details) as StatusDetails) : undefined,
  );
}
