import { valueIn } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { builtinColumns } from '../../printing/builtin-columns.js';
import { defaultColumns } from '../../printing/default-columns.js';
import { LabelQuery } from '../../registry/label-selector.js';
import type {
  NameRule,
  ServedResource,
  ScaleMapping,
  Strategy,
  SubresourceInfo,
} from '../../registry/resource.js';
import type { BuiltinSchemas } from '../../schema/builtin-schema.js';
import { builtinStrategies } from '../builtin-strategies.js';

/** One built-in resource in one version. */
export interface Row {
  readonly kind: string;
  readonly plural: string;
  /** Short names, separated by spaces. */
  readonly short?: string;
  readonly cluster?: true;
  readonly status?: true;
  /** Spec changes count in metadata.generation. */
  readonly generation?: true;
  readonly scale?: true;
  readonly categories?: readonly string[];
  readonly name?: NameRule;
  /** Fields for field selectors, separated by spaces. */
  readonly fields?: string;
  readonly sub?: Readonly<Record<string, SubresourceInfo>>;
  /** PUT of a missing object creates it. */
  readonly upsert?: true;
  /** PUT must name the version it replaces. */
  readonly pinned?: true;
  /** Group and plural under which the objects are stored, when not the row's own. */
  readonly storage?: string;
  /** The apiVersion in which objects are stored, when not the row's own. */
  readonly storageVersion?: string;
  readonly convert?: ServedResource['convert'];
  readonly strategy?: Strategy;
  /** Absent: all the ordinary verbs. */
  readonly verbs?: readonly string[];
  readonly deprecation?: string;
  readonly orphans?: ServedResource['orphansByDefault'];
}

/** Rows by group/version. */
export type Rows = Readonly<Record<string, readonly Row[]>>;

/** The published type of a kind, as the type table names it. */
export function typeName(group: string, version: string, kind: string): string {
  switch (group) {
    case 'apiextensions.k8s.io':
      return `apiextensions-apiserver.pkg.apis.apiextensions.${version}.${kind}`;
    case 'apiregistration.k8s.io':
      return `kube-aggregator.pkg.apis.apiregistration.${version}.${kind}`;
    default:
      return `api.${group === '' ? 'core' : (group.split('.')[0] ?? group)}.${version}.${kind}`;
  }
}

function selectorText(object: ApiObject): string {
  const selector = valueIn(object, 'spec', 'selector');
  // A replication controller's selector is a plain label map.
  return object.kind === 'ReplicationController'
    ? LabelQuery.fromObject({ matchLabels: selector ?? {} }).toString()
    : LabelQuery.fromObject(selector).toString();
}

const workloadScale: ScaleMapping = {
  specReplicas: ['spec', 'replicas'],
  statusReplicas: ['status', 'replicas'],
  selector: selectorText,
};

/** The resource that a row stands for. */
export function toResource(gv: string, row: Row, schemas: BuiltinSchemas): ServedResource {
  const slash = gv.indexOf('/');
  const group = slash < 0 ? '' : gv.slice(0, slash);
  const version = gv.slice(slash + 1);
  const qualified = group === '' ? row.plural : `${row.plural}.${group}`;
  return {
    group,
    version,
    plural: row.plural,
    singular: row.kind.toLowerCase(),
    kind: row.kind,
    namespaced: row.cluster !== true,
    shortNames: row.short?.split(' ') ?? [],
    categories: row.categories ?? [],
    storage: row.storage ?? qualified,
    schema: schemas.get(typeName(group, version, row.kind)),
    strategy: row.strategy ?? builtinStrategies[qualified] ?? {},
    nameRule: row.name ?? 'subdomain',
    hasGeneration: row.generation === true,
    hasStatus: row.status === true,
    ...(row.scale === true ? { scale: workloadScale } : {}),
    subresources: row.sub ?? {},
    columns: builtinColumns[qualified] ?? defaultColumns,
    selectableFields: row.fields?.split(' ') ?? [],
    isCustom: false,
    createsOnUpdate: row.upsert === true,
    needsVersionOnUpdate: row.pinned === true,
    ...(row.storageVersion === undefined ? {} : { storageVersion: row.storageVersion }),
    ...(row.convert === undefined ? {} : { convert: row.convert }),
    ...(row.verbs === undefined ? {} : { verbs: row.verbs }),
    ...(row.orphans === undefined ? {} : { orphansByDefault: row.orphans }),
    ...(row.deprecation === undefined ? {} : { deprecationWarning: row.deprecation }),
  };
}
