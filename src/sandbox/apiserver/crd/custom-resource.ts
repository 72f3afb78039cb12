import { isTerminating } from './crd-status.js';
import type { TypedKind } from '../admission/policy/type-checks.js';
import type { WebhookClient } from '../admission/webhook/client.js';
import { clientConfigOf } from '../admission/webhook/configuration.js';
import {
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  valueIn,
  stringOf,
  stringsOf,
} from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { apiVersionOf } from '#base/kube/resource.js';
import { ageOf } from '../printing/age.js';
import { ageColumn, nameColumn } from '../printing/default-columns.js';
import { evaluateJsonPath, parseJsonPath } from '../printing/json-path.js';
import { versionRank } from '../registry/registry.js';
import type { Column, ServedResource, ScaleMapping } from '../registry/resource.js';
import { builtinSchemas } from '../schema/builtin-schema.js';
import type { Schema } from '../schema/schema.js';
import { type ConvertedVersion, schemaConversion, WebhookConversion } from './conversion.js';
import { strategyFor } from './custom-strategy.js';
import { anythingSchema, schemaFromOpenApi, simplePath, withMetadata } from './crd-schema.js';

const metadataSchema = builtinSchemas.get('apimachinery.pkg.apis.meta.v1.ObjectMeta');

function columnOf(spec: Json): Column {
  const column = objectOf(spec);
  const steps = parseJsonPath(stringOf(column.jsonPath)) ?? [];
  const type = stringOf(column.type);
  const description = stringOf(column.description);
  const priority = numberOf(column.priority) ?? 0;
  const format = stringOf(column.format);
  return {
    name: stringOf(column.name),
    type: type === 'integer' || type === 'number' || type === 'boolean' || type === 'date' ? type : 'string',
    ...(format === '' ? {} : { format }),
    description,
    priority,
    cell: (object) => {
      const [first, ...more] = evaluateJsonPath(object, steps);
      if (first === undefined) return null;
      if (type === 'date') return ageOf(first);
      if (type === 'string') {
        const shown = [first, ...more].map((v) => (typeof v === 'object' ? JSON.stringify(v) : String(v)));
        return shown.join(',');
      }
      return typeof first === 'object' ? JSON.stringify(first) : first;
    },
  };
}

function scaleOf(subresources: Json | undefined): ScaleMapping | undefined {
  const scale = valueIn(subresources, 'scale');
  if (!isObject(scale)) return undefined;
  const selectorPath = simplePath(stringOf(scale.labelSelectorPath));
  return {
    specReplicas: simplePath(stringOf(scale.specReplicasPath)),
    statusReplicas: simplePath(stringOf(scale.statusReplicasPath)),
    selector: (object: ApiObject) =>
      selectorPath.length === 0 ? '' : stringOf(valueIn(object, ...selectorPath)),
  };
}

/** The default warning of a deprecated version: it names the best one to use instead. */
function deprecationOf(
  group: string,
  kind: string,
  version: string,
  versions: readonly JsonObject[],
): string {
  const better = versions
    .filter((v) => v.served === true && v.deprecated !== true)
    .map((v) => stringOf(v.name))
    .filter((name) => versionRank(name) > versionRank(version))
    .sort((a, b) => versionRank(b) - versionRank(a))[0];
  const said = `${group}/${version} ${kind} is deprecated`;
  return better === undefined ? said : `${said}; use ${group}/${better} ${kind}`;
}

/** How a version becomes another: by a webhook, or by leaving out what it does not know. */
function conversionOf(
  spec: JsonObject,
  at: Omit<ConvertedVersion, 'webhook'>,
  client: WebhookClient,
): Pick<ServedResource, 'convert' | 'conversion'> {
  const conversion = objectOf(spec.conversion);
  if (conversion.strategy !== 'Webhook') return { convert: schemaConversion(at) };
  const webhook = clientConfigOf(objectOf(objectOf(conversion.webhook).clientConfig));
  return { conversion: new WebhookConversion({ ...at, webhook }, client) };
}

function schemaOf(version: JsonObject): Schema {
  const json = valueIn(version, 'schema', 'openAPIV3Schema');
  return withMetadata(json === undefined ? anythingSchema : schemaFromOpenApi(json), metadataSchema);
}

/** What the spec of a CRD says of the types of its kind: one for each served version. */
export function typedVersionsOf(spec: JsonObject): TypedKind[] {
  const names = objectOf(spec.names);
  return objectsOf(spec.versions)
    .filter((v) => v.served === true)
    .map((v) => ({
      group: stringOf(spec.group),
      version: stringOf(v.name),
      plural: stringOf(names.plural),
      kind: stringOf(names.kind),
      schema: schemaOf(v),
    }));
}

/** The resources that a CRD makes: one for each served version. */
export function resourcesOf(crd: ApiObject, client: WebhookClient): ServedResource[] {
  const spec = objectOf(crd.spec);
  const names = objectOf(spec.names);
  const group = stringOf(spec.group);
  const plural = stringOf(names.plural);
  const kind = stringOf(names.kind);
  const versions = objectsOf(spec.versions);
  const stored = versions.find((v) => v.storage === true) ?? {};
  const storageVersion = stringOf(stored.name);
  const storageSchema = schemaOf(stored);
  return versions
    .filter((v) => v.served === true)
    .map((v): ServedResource => {
      const schema = schemaOf(v);
      const columns = objectsOf(v.additionalPrinterColumns).map(columnOf);
      const scale = scaleOf(v.subresources);
      return {
        group,
        version: stringOf(v.name),
        plural,
        singular: stringOf(names.singular) || kind.toLowerCase(),
        kind,
        namespaced: spec.scope === 'Namespaced',
        shortNames: stringsOf(names.shortNames),
        categories: stringsOf(names.categories),
        storage: `${plural}.${group}`,
        storageVersion: apiVersionOf({ group, version: storageVersion }),
        schema,
        strategy: strategyFor(schema),
        nameRule: 'subdomain',
        hasGeneration: true,
        hasStatus: isObject(valueIn(v, 'subresources', 'status')),
        ...(scale === undefined ? {} : { scale }),
        subresources: {},
        columns: [nameColumn, ...(columns.length > 0 ? columns : [ageColumn])],
        selectableFields: objectsOf(v.selectableFields).map((f) => stringOf(f.jsonPath).replace(/^\./, '')),
        ...conversionOf(
          spec,
          { group, kind, version: stringOf(v.name), storageVersion, storageSchema, schema },
          client,
        ),
        isCustom: true,
        isTerminating: isTerminating(crd),
        createsOnUpdate: false,
        ...(v.deprecated === true
          ? {
              deprecationWarning:
                stringOf(v.deprecationWarning) || deprecationOf(group, kind, stringOf(v.name), versions),
            }
          : {}),
      };
    });
}
