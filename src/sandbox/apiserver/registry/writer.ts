import type { WriterIdentity } from '../managed-fields/field-managers.js';
import { apiVersionOf } from '../object.js';
import type { Resource } from './resource.js';
import type { WriteOptions } from './write-options.js';

/** Who a write is recorded for in managedFields. */
export function writerOf(resource: Resource, options: WriteOptions): WriterIdentity {
  return {
    manager: options.manager,
    apiVersion: apiVersionOf(resource.group, resource.version),
    subresource: options.subresource ?? '',
  };
}
