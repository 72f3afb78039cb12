import type { KubeObject } from '#base/kube/types.js';
import { managedBy, managedByLabel } from '../render/installation.js';

/** Name under which the installer owns fields. */
export const fieldManager = 'meshctl';

/** Whether an object belongs to an installation made by meshctl. */
export function isOurs(object: KubeObject): boolean {
  return object.metadata.labels?.[managedByLabel] === managedBy;
}
