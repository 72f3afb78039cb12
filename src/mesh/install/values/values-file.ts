import { readFileSync } from 'node:fs';
import { parseAllDocuments } from 'yaml';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { isMap, mergeValues, scalarText, type ValueMap } from '../../templates/values.js';

/** A values file is at most this large; the largest sensible one is a few kilobytes. */
const fileMaxBytes = 4 * 1024 * 1024;

/**
 * Reads `-f` files, later ones over earlier ones. A document is an IstioOperator
 * (its `spec` counts) or bare values of the same shape; `-` is standard input.
 * @throws MESH0303
 */
export function readValuesFiles(paths: readonly string[]): ValueMap {
  return paths.map(readValuesFile).reduce(mergeValues, {});
}

function readValuesFile(path: string): ValueMap {
  const text = readText(path);
  const documents = parseAllDocuments(text);
  let values: ValueMap = {};
  for (const document of documents) {
    const error = document.errors[0];
    if (error !== undefined) {
      throw new MeshError('MESH0303', `${path} is not valid YAML`, { evidence: error.message, cause: error });
    }
    values = mergeValues(values, specOf(document.toJS({ maxAliasCount: 100 }), path));
  }
  return values;
}

function specOf(document: unknown, path: string): ValueMap {
  if (document === null || document === undefined) return {};
  if (!isMap(document)) throw new MeshError('MESH0303', `${path} holds no map of values`);
  if (document['kind'] === undefined && document['apiVersion'] === undefined) return document;
  if (document['kind'] !== 'IstioOperator') {
    throw new MeshError('MESH0303', `${path} is of kind ${scalarText(document['kind'])}, not IstioOperator`, {
      hint: 'Values files are IstioOperator documents or bare values; apply other objects with kubectl.',
    });
  }
  const spec = document['spec'] ?? {};
  if (!isMap(spec)) throw new MeshError('MESH0303', `${path}: spec is not a map`);
  return spec;
}

function readText(path: string): string {
  try {
    const bytes = readFileSync(path === '-' ? 0 : path);
    if (bytes.length > fileMaxBytes) throw new Error(`larger than ${fileMaxBytes} bytes`);
    return bytes.toString('utf8');
  } catch (error) {
    throw new MeshError('MESH0303', `cannot read ${path === '-' ? 'standard input' : path}`, {
      evidence: messageOf(error),
      cause: error,
    });
  }
}
