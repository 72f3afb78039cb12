import { pluralFor } from '#base/collections/counted.js';
import { type Json, type JsonObject, objectOf, objectsOf, stringOf } from '../../../base/json.js';

/** A pod, or the pod that a template makes, as the checks see it. */
export interface Subject {
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: JsonObject;
}

/** What a check found: `reason (detail)`. */
export interface PodSecurityFinding {
  readonly reason: string;
  readonly detail: string;
}

export type PodSecurityCheck = (subject: Subject) => PodSecurityFinding | undefined;

/** Init containers, containers and ephemeral containers, in that order. */
export function allContainers(spec: JsonObject): JsonObject[] {
  return [
    ...objectsOf(spec.initContainers),
    ...objectsOf(spec.containers),
    ...objectsOf(spec.ephemeralContainers),
  ];
}

/** The security context of a pod or container. */
export function contextOf(owner: JsonObject): JsonObject {
  return objectOf(owner.securityContext);
}

/** Names of the containers for which something holds. */
export function namesWhere(spec: JsonObject, holds: (container: JsonObject) => boolean): string[] {
  return allContainers(spec)
    .filter(holds)
    .map((c) => stringOf(c.name));
}

export const quoted = (names: readonly Json[]): string => names.map((n) => JSON.stringify(n)).join(', ');
/** `container "a"`, or `containers "a", "b"`. */
export const containers = (names: readonly string[]): string =>
  `${pluralFor(names.length, 'container')} ${quoted(names)}`;
/** Each once, in order. */
export const distinct = (values: readonly string[]): string[] => [...new Set(values)].sort();

/** Whether a pod runs on Windows, where Linux rules do not apply. */
export function isWindows(spec: JsonObject): boolean {
  return objectOf(spec.os).name === 'windows';
}
