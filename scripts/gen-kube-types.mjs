// Derives the shapes of the built-in Kubernetes kinds for the sandbox's API
// server: field names, types, how lists merge (from the published OpenAPI
// documents) and which empty values an object carries on the wire (from the
// JSON tags of the published Go types). Descriptions are left behind.
//
//   node scripts/gen-kube-types.mjs OPENAPI_V3_DIRECTORY GO_DIRECTORY...
//
// OPENAPI_V3_DIRECTORY holds one JSON file per group version, as
// `kubectl get --raw /openapi/v3/apis/apps/v1` prints it; the Go directories
// are k8s.io/api, k8s.io/apimachinery/pkg/apis/meta/v1 and so on.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const out = 'src/sandbox/apiserver/schema/builtin-types.json';
const [openApiDirectory, ...goDirectories] = process.argv.slice(2);
if (openApiDirectory === undefined || goDirectories.length === 0) {
  console.error('usage: node scripts/gen-kube-types.mjs OPENAPI_V3_DIRECTORY GO_DIRECTORY...');
  process.exit(2);
}

/** Published types that the table writes as scalars. */
const scalarTypes = {
  'io.k8s.apimachinery.pkg.util.intstr.IntOrString': 'intOrString',
  'io.k8s.apimachinery.pkg.api.resource.Quantity': 'quantity',
  'io.k8s.apimachinery.pkg.apis.meta.v1.Time': 'time',
  'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime': 'microTime',
};

function loadSchemas() {
  const schemas = {};
  for (const file of readdirSync(openApiDirectory)) {
    const document = JSON.parse(readFileSync(join(openApiDirectory, file), 'utf8'));
    Object.assign(schemas, document.components?.schemas ?? {});
  }
  return schemas;
}

/** Go structs by `package-path-suffix.Name`: JSON name -> { isPointer, omitsEmpty }; embedded types are named. */
function loadGoTypes() {
  const structs = new Map();
  const visit = (directory) => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = join(directory, entry.name);
      if (entry.isDirectory()) visit(path);
      else if (/^(?:types(?:_\w+)?|micro_time|group_version)\.go$/.test(entry.name))
        readGoFile(path, directory, structs);
    }
  };
  for (const directory of goDirectories) visit(directory);
  return structs;
}

function readGoFile(path, directory, structs) {
  const pkg = directory
    .split('/')
    .slice(-2)
    .join('.')
    .replace(/@[^.]*(\.\d+)*/, '');
  for (const [, name, body] of readFileSync(path, 'utf8').matchAll(
    /^type (\w+) struct \{\n([\s\S]*?)^\}/gm,
  )) {
    const fields = new Map();
    const embedded = [];
    for (const line of body.split('\n')) {
      const inline = /^\t(?:(\w+)\s+)?(\*?)([\w.]+)\s+`.*json:",inline/.exec(line);
      if (inline !== null) {
        embedded.push(inline[3]);
        continue;
      }
      const match = /^\t(?:\w+\s+)?(\S.*?)\s+`.*json:"([^",]+)(,[^"]*)?"/.exec(line);
      if (match === null) continue;
      fields.set(match[2], {
        isPointer: match[1].startsWith('*'),
        omitsEmpty: (match[3] ?? '').includes('omitempty'),
      });
    }
    structs.set(`${pkg}.${name}`, { fields, embedded, pkg });
  }
}

function goField(structs, key, field) {
  const struct = structs.get(key);
  if (struct === undefined) return undefined;
  const own = struct.fields.get(field);
  if (own !== undefined) return own;
  for (const name of struct.embedded) {
    const inner = name.includes('.')
      ? name.replace(/^(\w+)\./, (_, p) => importNames[p] ?? `${p}.`)
      : `${struct.pkg}.${name}`;
    const found = goField(structs, inner, field);
    if (found !== undefined) return found;
  }
  return undefined;
}
const importNames = { metav1: 'meta.v1.', v1: 'core.v1.' };

const named = (ref) => ref.replace('#/components/schemas/', '');

function typeOf(schema) {
  const ref = schema.$ref ?? (schema.allOf?.length === 1 ? schema.allOf[0].$ref : undefined);
  if (ref !== undefined) return scalarTypes[named(ref)] ?? `#${named(ref).replace(/^io\.k8s\./, '')}`;
  if (schema.type === 'array') return `[]${typeOf(schema.items)}`;
  if (schema.type === 'object') {
    return schema.additionalProperties === undefined ? 'object' : `{}${typeOf(schema.additionalProperties)}`;
  }
  if (schema.format === 'byte') return 'bytes';
  if (schema.type === 'integer') return schema.format ?? 'int64';
  return schema.type ?? 'any';
}

function fieldText(schema, isRequired, go, where) {
  const type = typeOf(schema);
  const words = [isRequired ? `${type}!` : type];
  const isCollection = type.startsWith('[]') || type.startsWith('{}') || type === 'bytes';
  if (go === undefined) {
    console.error(`no Go field for ${where}`);
  } else if (go.isPointer) {
    if (!go.omitsEmpty) words.push('^');
  } else {
    const isStruct = type.startsWith('#') || ['time', 'microTime', 'quantity', 'intOrString'].includes(type);
    // A struct is written although empty, whatever its tag says.
    if (isStruct || !go.omitsEmpty) words.push('~');
    else if (!isCollection) words.push('?');
  }
  const zero =
    schema.default === '' ||
    schema.default === 0 ||
    schema.default === false ||
    JSON.stringify(schema.default) === '{}';
  if (schema.default !== undefined && !zero) words.push(`=${JSON.stringify(schema.default)}`);
  if (schema.enum !== undefined) words.push(`enum:${schema.enum.join('|')}`);
  if (schema['x-kubernetes-list-type'] === 'map')
    words.push(`map:${schema['x-kubernetes-list-map-keys'].join(',')}`);
  else if (schema['x-kubernetes-list-type'] === 'set') words.push('set');
  else if (schema.type === 'array' && schema['x-kubernetes-list-type'] === undefined)
    words.push('unspecified');
  if (schema['x-kubernetes-map-type'] === 'atomic') words.push('atomic');
  if (schema['x-kubernetes-patch-merge-key'] !== undefined)
    words.push(`key:${schema['x-kubernetes-patch-merge-key']}`);
  if (schema['x-kubernetes-patch-strategy'] !== undefined)
    words.push(`patch:${schema['x-kubernetes-patch-strategy']}`);
  return words.join(' ');
}

const schemas = loadSchemas();
const structs = loadGoTypes();
const types = {};
for (const [name, schema] of Object.entries(schemas)) {
  if (
    name in scalarTypes ||
    (name.endsWith('List') &&
      schema.properties?.items !== undefined &&
      schema.properties.metadata !== undefined)
  )
    continue;
  const fields = {};
  // '' holds what is said of the type itself.
  if (schema['x-kubernetes-map-type'] === 'atomic') fields[''] = 'atomic';
  if (schema.properties === undefined) fields[''] = schema.type === 'object' ? 'anyObject' : 'any';
  const goKey = name.split('.').slice(-3).join('.');
  for (const [field, body] of Object.entries(schema.properties ?? {})) {
    const go = goField(structs, goKey, field);
    fields[field] = fieldText(body, schema.required?.includes(field) ?? false, go, `${goKey}.${field}`);
  }
  types[name.replace(/^io\.k8s\./, '')] = fields;
}
const sorted = Object.fromEntries(Object.entries(types).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(out, `${JSON.stringify(sorted, null, 1)}\n`);
console.log(`${out}: ${Object.keys(sorted).length} types`);
