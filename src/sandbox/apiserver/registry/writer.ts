import type { WriterIdentity } from '../managed-fields/field-managers.js';
import { apiVersionOf } from '#base/kube/resource.js';
import type { ServedResource } from './resource.js';
import type { WriteOptions } from './write-options.js';

/** Who a write is recorded for in managedFields. */
export function writerOf(resource: ServedResource, options: WriteOptions): WriterIdentity {
  return {
    manager: options.manager,
    apiVersion: apiVersionOf(resource),
    subresource: options.subresource ?? '',
  };
}
