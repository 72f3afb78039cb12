import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';

/** Values of the placeholders `${name}` in a template. */
export type TemplateValues = Readonly<Record<string, string>>;

/** A parsed template; rendering gives a fresh object every time. */
export type Template = (values: TemplateValues) => Record<string, unknown>;

const placeholderPattern = /\$\{(\w+)\}/g;

/**
 * Reads one template file. Placeholders are filled into the parsed document's texts, not into the
 * file: no value can change the document's structure. Throws MESH0405 when it cannot be read or,
 * when rendering, names an unknown placeholder.
 */
export function loadTemplate(file: string): Template {
  let document: unknown;
  try {
    document = parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new MeshError('MESH0405', `template ${file} cannot be read`, { evidence: messageOf(cause), cause });
  }
  if (!isRecord(document)) throw new MeshError('MESH0405', `template ${file} is not an object`);
  const root = document;
  return (values) => {
    const rendered = fill(root, (name) => {
      const value = values[name];
      if (value === undefined)
        throw new MeshError('MESH0405', `template ${file} names unknown value ${name}`);
      return value;
    });
    return isRecord(rendered) ? rendered : {};
  };
}

/** The folder holding `templates/`, in the image as in a checkout: the closest one above this module. */
export function findTemplates(configured: string | undefined): string {
  if (configured !== undefined && configured !== '') return configured;
  let folder = dirname(fileURLToPath(import.meta.url));
  for (;;) {
    const candidate = join(folder, 'templates');
    if (existsSync(join(candidate, 'waypoint'))) return candidate;
    const parent = dirname(folder);
    if (parent === folder) throw new MeshError('MESH0405', 'the templates folder is missing');
    folder = parent;
  }
}

function fill(node: unknown, valueOf: (name: string) => string): unknown {
  if (typeof node === 'string') return node.replace(placeholderPattern, (_, name: string) => valueOf(name));
  if (Array.isArray(node)) return node.map((item) => fill(item, valueOf));
  if (!isRecord(node)) return node;
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [String(fill(key, valueOf)), fill(value, valueOf)]),
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
