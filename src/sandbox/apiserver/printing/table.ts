import type { Json, JsonObject } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import type { ServedResource } from '../registry/resource.js';

/** Which objects a table's rows carry along. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

/** The metadata-only form of an object. */
export function partialMetadata(object: ApiObject): JsonObject {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata };
}

function carried(object: ApiObject, include: IncludeObject): JsonObject {
  switch (include) {
    case 'None':
      return {};
    case 'Metadata':
      return { object: partialMetadata(object) };
    case 'Object':
      return { object };
  }
}

/** Rows for objects, as kubectl prints them. */
export function toTable(
  objects: readonly ApiObject[],
  resource: Pick<ServedResource, 'columns'>,
  options: { include: IncludeObject; metadata: JsonObject; withColumns: boolean },
): JsonObject {
  const columns: Json = options.withColumns
    ? resource.columns.map((c) => ({
        name: c.name,
        type: c.type ?? 'string',
        format: c.format ?? '',
        description: c.description ?? '',
        priority: c.priority ?? 0,
      }))
    : [];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: options.metadata,
    columnDefinitions: columns,
    rows: objects.map((o) => ({
      cells: resource.columns.map((c) => cellOf(c.cell, o)),
      ...carried(o, options.include),
    })),
  };
}

function cellOf(cell: (o: ApiObject) => Json, object: ApiObject): Json {
  try {
    return cell(object);
  } catch {
    // A cell that trips over an odd object must not hide the object.
    return '<unknown>';
  }
}
