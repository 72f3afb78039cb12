import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { MeshError } from '#base/errors/mesh-error.js';
import type { Value, ValueMap } from './values.js';

/** Every template: path below templates/ -> its documents. */
export type TemplateFiles = Readonly<Record<string, readonly Value[]>>;

/** Written by the build next to the bundle: parsing JSON takes a hundredth of the time YAML takes. */
const bundled = fileURLToPath(new URL('./templates.json', import.meta.url));
const source = fileURLToPath(new URL('../../../templates/', import.meta.url));

let known: TemplateFiles | undefined;

/** The templates of this version, from the build or, when run from source, from templates/; read once. */
export function readTemplateFiles(): TemplateFiles {
  known ??= existsSync(bundled)
    ? (JSON.parse(readFileSync(bundled, 'utf8')) as TemplateFiles)
    : parseTemplateFolder(source);
  return known;
}

function parseTemplateFolder(folder: string): TemplateFiles {
  const files: Record<string, readonly Value[]> = {};
  for (const name of readdirSync(folder, { recursive: true }).map(String).toSorted()) {
    if (!/\.ya?ml$/.test(name)) continue;
    const documents = parseAllDocuments(readFileSync(`${folder}${name}`, 'utf8'));
    files[name] = documents.map((d) => d.toJS({ maxAliasCount: 1_000 }) as Value);
  }
  return files;
}

/** All documents of the files below a folder, in file name order. */
export function documentsIn(files: TemplateFiles, folder: string): { where: string; document: Value }[] {
  return Object.keys(files)
    .filter((name) => name.startsWith(`${folder}/`))
    .toSorted()
    .flatMap((name) => (files[name] ?? []).map((document) => ({ where: name, document })));
}

/** The single map in a file such as `values.yaml`. @throws MESH0304 when it is not there */
export function mapIn(files: TemplateFiles, name: string): ValueMap {
  const document = files[name]?.[0];
  if (typeof document !== 'object' || document === null || Array.isArray(document)) {
    throw new MeshError('MESH0304', `templates/${name} is missing or not a map`);
  }
  return document as ValueMap;
}
