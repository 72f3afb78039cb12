import { readdirSync, readFileSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { isMap, isNode, isSeq, LineCounter, parseAllDocuments, type YAMLMap } from 'yaml';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { KubeObject } from '#base/kube/types.js';
import { type Finding, subjectOf, subjectText } from '../findings/finding.js';
import { ManifestShapes } from './manifest-shape.js';

/** Objects of files, with where each stands, and what could not be read. */
export interface Manifests {
  readonly objects: readonly { readonly object: KubeObject; readonly place: string }[];
  readonly findings: readonly Finding[];
}

/** A file's text, with the name it is called by. */
export interface ManifestText {
  readonly name: string;
  readonly text: string;
}

const extensions: ReadonlySet<string> = new Set(['.yaml', '.yml', '.json']);
/** More than any cluster's configuration; a file that is larger is none. */
const fileMaxBytes = 64 * 1024 * 1024;
const depthMax = 32;

/**
 * Reads files, standard input (`-`), and the manifests of folders. A folder's own files, or with `isRecursive` those below it too.
 * @throws MESH0907 when a path does not exist or cannot be read
 */
export function readManifestFiles(paths: readonly string[], isRecursive: boolean): readonly ManifestText[] {
  return paths.flatMap((path) => readPath(path, { isRecursive, depth: 0 }));
}

function readPath(
  path: string,
  o: { readonly isRecursive: boolean; readonly depth: number },
): readonly ManifestText[] {
  try {
    if (path === '-') return [{ name: 'stdin', text: readFileSync(0, 'utf8') }];
    const stat = statSync(path);
    if (!stat.isDirectory()) {
      if (stat.size > fileMaxBytes) throw new Error(`it is larger than ${fileMaxBytes} bytes`);
      return [{ name: path, text: readFileSync(path, 'utf8') }];
    }
    return readdirSync(path, { withFileTypes: true })
      .sort((a, b) => a.name.localeCompare(b.name))
      .flatMap((entry) => {
        const below = join(path, entry.name);
        // Links are not followed into folders: they may lead in a circle.
        if (entry.isDirectory()) {
          return o.isRecursive && o.depth < depthMax ? readPath(below, { ...o, depth: o.depth + 1 }) : [];
        }
        return extensions.has(extname(entry.name)) ? readPath(below, o) : [];
      });
  } catch (error) {
    if (error instanceof MeshError) throw error;
    throw new MeshError('MESH0907', `${path} cannot be read`, { evidence: messageOf(error), cause: error });
  }
}

/** The objects of manifests, YAML or JSON, many documents each. What is no object becomes a finding with its place. */
export function parseManifests(texts: readonly ManifestText[]): Manifests {
  const objects: { object: KubeObject; place: string }[] = [];
  const findings: Finding[] = [];
  const shapes = new ManifestShapes();
  for (const { name, text } of texts) {
    const lines = new LineCounter();
    for (const document of parseAllDocuments(text, { lineCounter: lines, prettyErrors: false })) {
      const placeAt = (offset: number): string => `${name}:${lines.linePos(offset).line}`;
      const [problem] = document.errors;
      if (problem !== undefined) {
        findings.push(unreadable(placeAt(problem.pos[0]), problem.message));
        continue;
      }
      if (document.contents === null) continue;
      const place = placeAt(document.contents.range?.[0] ?? 0);
      if (!isMap(document.contents)) {
        findings.push(unreadable(place, 'the document is no object'));
        continue;
      }
      let value: unknown;
      try {
        value = document.toJS({ maxAliasCount: 100 });
      } catch (error) {
        findings.push(unreadable(place, messageOf(error)));
        continue;
      }
      const offsets = itemOffsets(document.contents);
      for (const [index, item] of itemsOf(value).entries()) {
        const offset = item === value ? undefined : offsets[index];
        const at = offset === undefined ? place : placeAt(offset);
        const why = whyNoObject(item);
        if (why !== undefined) {
          findings.push(unreadable(at, why));
          continue;
        }
        const object = item as KubeObject;
        const problem = shapes.problemOf(object);
        if (problem === undefined) objects.push({ object, place: at });
        else findings.push(invalid(object, at, problem));
      }
    }
  }
  return { objects, findings };
}

function itemsOf(value: unknown): readonly unknown[] {
  const list = value as { kind?: unknown; items?: unknown };
  return typeof list.kind === 'string' && list.kind.endsWith('List') && Array.isArray(list.items)
    ? list.items
    : [value];
}

/** Where the items of a List begin. */
function itemOffsets(document: YAMLMap): readonly (number | undefined)[] {
  const items = document.get('items');
  return isSeq(items) ? items.items.map((item) => (isNode(item) ? item.range?.[0] : undefined)) : [];
}

function whyNoObject(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return 'an item of the list is no object';
  const { apiVersion, kind, metadata } = value as Partial<KubeObject>;
  if (typeof apiVersion !== 'string') return 'apiVersion is missing';
  if (typeof kind !== 'string') return 'kind is missing';
  if (typeof metadata !== 'object' || metadata === null || typeof metadata.name !== 'string') {
    return 'metadata.name is missing';
  }
  return undefined;
}

function unreadable(place: string, why: string): Finding {
  return {
    code: 'MESH1100',
    severity: 'error',
    message: `${place} cannot be read: ${why.split('\n')[0]}`,
    place,
    fix: `Correct the file: kubectl apply --dry-run=client -f ${place.slice(0, place.lastIndexOf(':'))}`,
  };
}

/** An object that the API server would refuse; it is left out of what is analyzed. */
function invalid(object: KubeObject, place: string, problem: string): Finding {
  const subject = subjectOf(object);
  return {
    code: 'MESH1191',
    severity: 'error',
    message: `${subjectText(subject)} is not what its kind asks for: ${problem}`,
    subject,
    place,
    fix: `Correct the file: kubectl apply --dry-run=server -f ${place.slice(0, place.lastIndexOf(':'))}`,
  };
}
