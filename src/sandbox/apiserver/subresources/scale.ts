import { apiError, fieldError } from '../api-error.js';
import { childOf, cloneJson, type JsonObject, numberOf, valueIn } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { ageColumn, nameColumn } from '../printing/default-columns.js';
import type { ServedResource, ScaleMapping } from '../registry/resource.js';

/** How a Scale is printed. */
export const printedScale: Pick<ServedResource, 'kind' | 'columns'> = {
  kind: 'Scale',
  columns: [
    nameColumn,
    {
      name: 'Desired',
      type: 'integer',
      description: 'How many replicas there should be.',
      cell: (scale) => valueIn(scale, 'spec', 'replicas') ?? 0,
    },
    {
      name: 'Available',
      type: 'integer',
      description: 'How many replicas there are.',
      cell: (scale) => valueIn(scale, 'status', 'replicas') ?? 0,
    },
    ageColumn,
  ],
};

/** The autoscaling/v1 Scale view of an object. */
export function toScale(object: ApiObject, mapping: ScaleMapping): ApiObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = mapping.selector(object);
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      uid,
      resourceVersion,
      creationTimestamp,
    },
    spec: { replicas: numberOf(valueIn(object, ...mapping.specReplicas)) ?? 0 },
    status: {
      replicas: numberOf(valueIn(object, ...mapping.statusReplicas)) ?? 0,
      ...(selector === '' ? {} : { selector }),
    },
  };
}

/** The object with the replicas a Scale asks for. Throws 422 for an impossible number. */
export function fromScale(object: ApiObject, scale: ApiObject, mapping: ScaleMapping): ApiObject {
  const replicas = numberOf(valueIn(scale, 'spec', 'replicas')) ?? 0;
  if (!Number.isInteger(replicas) || replicas < 0) {
    throw apiError.invalid('Scale', 'autoscaling', object.metadata.name, [
      fieldError.invalid('spec.replicas', replicas, 'must be greater than or equal to 0'),
    ]);
  }
  const next = cloneJson(object);
  let parent: JsonObject = next;
  for (const step of mapping.specReplicas.slice(0, -1)) parent = childOf(parent, step);
  parent[mapping.specReplicas.at(-1) ?? 'replicas'] = replicas;
  const pinned = scale.metadata.resourceVersion;
  next.metadata.resourceVersion = typeof pinned === 'string' ? pinned : '';
  return next;
}
