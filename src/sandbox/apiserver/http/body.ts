import type { IncomingMessage } from 'node:http';
import { parse as parseYaml } from 'yaml';
import { apiError, ApiError } from '../http/api-error.js';
import { isObject, type Json, type JsonObject } from '../json.js';
import type { KubeObject } from '../object.js';
import { decodeProtobufObject } from '../protobuf/decode-object.js';

/** Kubernetes' own limit on request bodies. */
export const bodyMaxBytes = 3 * 1024 * 1024;
const jsonMaxDepth = 500;

/** Reads a request's body. Throws 413 beyond the limit, before reading the rest. */
export async function readBody(request: IncomingMessage, maxBytes = bodyMaxBytes): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > maxBytes) throw apiError.tooLarge(maxBytes);
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw apiError.tooLarge(maxBytes);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** The media type of a request without its parameters. */
export function mediaType(request: IncomingMessage): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

function assertDepth(value: Json, depth = 0): void {
  if (depth > jsonMaxDepth)
    throw apiError.badRequest(`the document is nested more than ${jsonMaxDepth} levels deep`);
  if (Array.isArray(value)) for (const v of value as Json[]) assertDepth(v, depth + 1);
  else if (isObject(value))
    for (const v of Object.values(value)) if (v !== undefined) assertDepth(v, depth + 1);
}

function parseText(text: string, isYaml: boolean): Json {
  try {
    // JSON.parse and the YAML core schema give JSON data only.
    const value = (
      isYaml ? parseYaml(text, { maxAliasCount: 100, schema: 'core' }) : JSON.parse(text)
    ) as Json;
    assertDepth(value);
    return value;
  } catch (error) {
    if (error instanceof ApiError) throw error;
    const why = error instanceof Error ? error.message : String(error);
    throw apiError.badRequest(
      `the object provided is unrecognized (must be JSON or YAML): ${why.slice(0, 300)}`,
    );
  }
}

const protobufType = 'application/vnd.kubernetes.protobuf';

function parseProtobuf(body: Buffer): Json {
  try {
    return decodeProtobufObject(body);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw apiError.badRequest(
      `the object provided is unrecognized (not a protobuf object of a known kind): ${why}`,
    );
  }
}

const yamlTypes: ReadonlySet<string> = new Set([
  'application/yaml',
  'application/x-yaml',
  'text/yaml',
  'application/apply-patch+yaml',
]);

/** Parses a body by its media type: JSON, or YAML where that is allowed. Empty bodies are undefined. */
export function parseBody(
  request: IncomingMessage,
  body: Buffer,
  extraTypes: readonly string[] = [],
): Json | undefined {
  if (body.length === 0) return undefined;
  const type = mediaType(request);
  const isYaml = yamlTypes.has(type);
  if (type === protobufType) return parseProtobuf(body);
  const isKnown = isYaml || type === '' || type === 'application/json' || extraTypes.includes(type);
  if (!isKnown) throw apiError.unsupportedMediaType(type, ['application/json', 'application/yaml']);
  return parseText(body.toString('utf8'), isYaml);
}

/** A parsed body as an object of the expected kind; absent type and metadata are filled in. */
export function objectFrom(
  value: Json | undefined,
  expected: { apiVersion: string; kind: string },
): KubeObject {
  if (!isObject(value)) throw apiError.badRequest('the request body must be an object');
  const { apiVersion, kind } = value;
  if (apiVersion !== undefined && apiVersion !== '' && apiVersion !== expected.apiVersion) {
    throw apiError.badRequest(
      `the API version in the data (${JSON.stringify(apiVersion)}) does not match the expected API version (${expected.apiVersion})`,
    );
  }
  if (kind !== undefined && kind !== '' && kind !== expected.kind) {
    throw apiError.badRequest(
      `the kind in the data (${JSON.stringify(kind)}) does not match the expected kind (${expected.kind})`,
    );
  }
  const { metadata } = value;
  if (metadata !== undefined && metadata !== null && !isObject(metadata)) {
    throw apiError.badRequest('json: cannot unmarshal metadata into Go struct field of type v1.ObjectMeta');
  }
  const meta: JsonObject = { ...metadata };
  for (const field of ['name', 'namespace', 'generateName', 'uid', 'resourceVersion'] as const) {
    const v = meta[field];
    if (v === null) delete meta[field];
    else if (v !== undefined && typeof v !== 'string') {
      throw apiError.badRequest(
        `json: cannot unmarshal ${typeof v} into Go struct field ObjectMeta.metadata.${field} of type string`,
      );
    }
  }
  for (const field of ['labels', 'annotations'] as const) {
    const v = meta[field];
    if (v === null) delete meta[field];
    if (v === undefined || v === null) continue;
    if (!isObject(v))
      throw apiError.badRequest(
        `json: cannot unmarshal metadata.${field} into Go struct field of type map[string]string`,
      );
    for (const [key, text] of Object.entries(v)) {
      if (typeof text === 'string') continue;
      if (text === null) {
        v[key] = '';
        continue;
      }
      throw apiError.badRequest(
        `json: cannot unmarshal ${Array.isArray(text) ? 'array' : typeof text} into Go struct field ObjectMeta.metadata.${field} of type string`,
      );
    }
  }
  for (const field of ['finalizers', 'ownerReferences', 'managedFields'] as const) {
    const v = meta[field];
    if (v === null) delete meta[field];
    else if (v !== undefined && !Array.isArray(v)) {
      throw apiError.badRequest(`json: cannot unmarshal metadata.${field} into Go struct field of type []`);
    }
    if (Array.isArray(v)) {
      const wanted = field === 'finalizers' ? 'string' : 'object';
      if (v.some((item: Json) => (wanted === 'string' ? typeof item !== 'string' : !isObject(item)))) {
        throw apiError.badRequest(
          `json: cannot unmarshal metadata.${field} into Go struct field of type []${wanted}`,
        );
      }
    }
  }
  if (typeof meta.name !== 'string') meta.name = '';
  // Every field read through ObjectMeta was checked above.
  return {
    ...value,
    apiVersion: expected.apiVersion,
    kind: expected.kind,
    metadata: meta as KubeObject['metadata'],
  };
}
