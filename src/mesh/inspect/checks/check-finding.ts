import type { KubeObject } from '#base/kube/types.js';
import type { Configuration } from '../configuration/configuration.js';
import { type Finding, subjectOf } from '../findings/finding.js';

/** A finding about an object, with its place when it was read from a file. */
export function findingAbout(
  object: KubeObject,
  configuration: Configuration,
  of: Omit<Finding, 'subject' | 'place'>,
): Finding {
  const place = configuration.placeOf(object);
  return { ...of, subject: subjectOf(object), ...(place === undefined ? {} : { place }) };
}

/** `kubectl edit KIND NAME -n NAMESPACE`. */
export function editCommand({ kind, metadata: { namespace, name } }: KubeObject): string {
  const at = namespace === undefined ? '' : ` -n ${namespace}`;
  return `kubectl edit ${kind.toLowerCase()} ${name}${at}`;
}
