import { cloneJson, type JsonObject, objectOf, objectsOf, stringOf, stringsOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { timestamp } from '../../base/timestamp.js';
import { isEstablished, type NameDecision } from './name-book.js';

/** Holds a definition until its objects are gone. */
export const cleanup = 'customresourcecleanup.apiextensions.k8s.io';
const approval = 'api-approved.kubernetes.io';

function storedVersionsOf(crd: ApiObject): string[] {
  const current = objectsOf(objectOf(crd.spec).versions).find((v) => v.storage === true);
  return [...new Set([...stringsOf(objectOf(crd.status).storedVersions), stringOf(current?.name)])].filter(
    (v) => v !== '',
  );
}

function approvalCondition(
  crd: ApiObject,
): readonly [status: string, reason: string, message: string] | undefined {
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(stringOf(objectOf(crd.spec).group))) return undefined;
  const value = crd.metadata.annotations?.[approval] ?? '';
  if (value.startsWith('unapproved')) {
    return ['False', 'UnapprovedAnnotation', `not approved: ${JSON.stringify(value)}`];
  }
  return value === ''
    ? [
        'False',
        'MissingAnnotation',
        `protected groups must have approval annotation ${JSON.stringify(approval)}, see https://github.com/kubernetes/enhancements/pull/1111`,
      ]
    : ['True', 'ApprovedAnnotation', `approved in ${value}`];
}

/** The status of a definition whose names were decided on. */
export function crdStatus(crd: ApiObject, { accepted, conflict }: NameDecision): JsonObject {
  const before = objectOf(crd.status);
  const known = objectsOf(before.conditions);
  const own = new Set<string>();
  const condition = (type: string, status: string, reason: string, message: string): JsonObject => {
    own.add(type);
    const same = known.find((c) => c.type === type);
    const since = same?.status === status ? same.lastTransitionTime : timestamp();
    return { type, status, lastTransitionTime: since ?? timestamp(), reason, message };
  };
  const names =
    conflict === undefined
      ? condition('NamesAccepted', 'True', 'NoConflicts', 'no conflicts found')
      : condition('NamesAccepted', 'False', conflict.reason, conflict.message);
  const established =
    conflict === undefined || isEstablished(crd)
      ? condition('Established', 'True', 'InitialNamesAccepted', 'the initial names have been accepted')
      : condition('Established', 'False', 'NotAccepted', 'not all names are accepted');
  const approved = approvalCondition(crd);
  const conditions = [
    names,
    established,
    ...(approved === undefined ? [] : [condition('KubernetesAPIApprovalPolicyConformant', ...approved)]),
  ];
  return {
    ...before,
    acceptedNames: accepted,
    conditions: [...conditions, ...known.filter((c) => !own.has(stringOf(c.type)))],
    storedVersions: storedVersionsOf(crd),
  };
}

/** Whether the objects of a definition are being deleted: then no new ones are made. */
export function isTerminating(crd: ApiObject | undefined): boolean {
  const conditions = objectsOf(objectOf(crd?.status).conditions);
  return conditions.some((c) => c.type === 'Terminating' && c.status === 'True');
}

export function beginTermination(crd: ApiObject): ApiObject {
  return withTerminating(crd, 'True', 'InstanceDeletionInProgress', 'CustomResource deletion is in progress');
}

/** Lets a definition go whose objects are gone. */
export function endTermination(crd: ApiObject): ApiObject {
  const next = withTerminating(crd, 'False', 'InstanceDeletionCompleted', 'removed all instances');
  next.metadata.finalizers = (next.metadata.finalizers ?? []).filter((f) => f !== cleanup);
  return next;
}

function withTerminating(crd: ApiObject, status: string, reason: string, message: string): ApiObject {
  const next = cloneJson(crd);
  const others = objectsOf(objectOf(crd.status).conditions).filter((c) => c.type !== 'Terminating');
  const condition = { type: 'Terminating', status, lastTransitionTime: timestamp(), reason, message };
  next.status = { ...objectOf(next.status), conditions: [...others, condition] };
  return next;
}
