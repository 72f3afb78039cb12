import { type Document, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { readBounded } from '#base/system/bounded-bytes.js';
import { messageOf } from '#base/errors/mesh-error.js';
import { isObject, type Json } from '../../base/json.js';
import { decodeProtobufObject } from '../protobuf/decode-object.js';
import type { PropertyPositions } from '../registry/write-options.js';
import { ApiError, apiError } from '../api-error.js';
import type { IncomingApiRequest } from './exchange.js';
import { propertyPositions, scanJson } from './json-scan.js';
import { protobufType, servedTypes } from './negotiation.js';

/** Kubernetes' own limit on request bodies. */
export const bodyMaxBytes = 3 * 1024 * 1024;
const jsonMaxDepth = 500;
const shownBytes = 30;
const aliasesMax = 100;

/** Reads a request's body. Throws 413 beyond the limit, before reading the rest. */
export async function readBody(request: IncomingApiRequest, maxBytes = bodyMaxBytes): Promise<Buffer> {
  const announced = Number(request.headers['content-length'] ?? 0);
  if (announced > maxBytes) throw apiError.tooLarge(maxBytes);
  return readBounded(request, maxBytes, () => apiError.tooLarge(maxBytes));
}

/** The media type of a request without its parameters. */
export function mediaType(request: IncomingApiRequest): string {
  return (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase() ?? '';
}

function assertDepth(value: Json, depth = 0): void {
  if (depth > jsonMaxDepth)
    throw apiError.badRequest(`the document is nested more than ${jsonMaxDepth} levels deep`);
  if (Array.isArray(value)) for (const v of value as Json[]) assertDepth(v, depth + 1);
  else if (isObject(value))
    for (const v of Object.values(value)) if (v !== undefined) assertDepth(v, depth + 1);
}

/** Parsed data and the properties it gave more than once. */
export interface ParsedBody {
  readonly value: Json;
  readonly duplicates: readonly string[];
  /** Keys of YAML maps given more than once, in the words of Kubernetes' decoder; undefined when there are none. */
  readonly yamlProblem?: string | undefined;
  /** Where properties stand in the text, by path; for JSON only. */
  readonly positions?: PropertyPositions;
}

/** Parses JSON. Throws an Error in the words of Go's decoder. */
export function parseJson(text: string): ParsedBody {
  const { duplicates, problem } = scanJson(text);
  if (problem !== undefined) throw new Error(problem);
  // JSON.parse gives JSON data only.
  const value = JSON.parse(text) as Json;
  assertDepth(value);
  return { value, duplicates, positions: (paths) => propertyPositions(text, paths) };
}

/** Parses one YAML document. Throws an Error in the words of Kubernetes' decoder. */
export function parseYaml(text: string): ParsedBody {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    schema: 'core',
    lineCounter,
    prettyErrors: false,
    uniqueKeys: false,
  });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const { line } = lineCounter.linePos(problem.pos[0]);
    throw new Error(`yaml: line ${line}: ${problem.message}`);
  }
  // The core schema gives JSON data only.
  const value = document.toJS({ maxAliasCount: aliasesMax }) as Json;
  assertDepth(value);
  return { value, duplicates: [], yamlProblem: repeatedKeys(document, lineCounter) };
}

/** The keys that maps of a document have more than once. */
function repeatedKeys(document: Document, lines: LineCounter): string | undefined {
  const problems: string[] = [];
  visit(document, {
    Map: (_, map) => {
      const seen = new Set<string>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        const name = String(key.value);
        if (seen.has(name)) {
          const { line } = lines.linePos(key.range?.[0] ?? 0);
          problems.push(`  line ${line}: key ${JSON.stringify(name)} already set in map`);
        }
        seen.add(name);
      }
    },
  });
  return problems.length === 0 ? undefined : `yaml: unmarshal errors:\n${problems.join('\n')}`;
}

const yamlType = 'application/yaml';

/** The beginning of a body as decoding errors quote it. */
function summary(body: Buffer): string {
  if (body.length === 0) return '<empty>';
  const shown = body.subarray(0, shownBytes);
  const text = body[0] === 0x7b ? shown.toString('utf8') : shown.toString('hex');
  return body.length > shownBytes ? `${text} ...` : text;
}

function parseAs(type: string, body: Buffer): ParsedBody {
  if (type === protobufType) return { value: decodeProtobufObject(body), duplicates: [] };
  if (type === yamlType) return parseYaml(body.toString('utf8'));
  try {
    return parseJson(body.toString('utf8'));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new Error(`couldn't get version/kind; json parse error: ${messageOf(error)}`);
  }
}

/** Parses an object of a kind by the request's media type. Throws 400 and 415. */
export function parseObject(request: IncomingApiRequest, body: Buffer, kind: string): ParsedBody {
  const type = mediaType(request) || 'application/json';
  if (!servedTypes.includes(type)) throw apiError.unsupportedMediaType(servedTypes);
  let parsed: ParsedBody;
  try {
    parsed = parseAs(type, body);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw apiError.badRequest(
      `the object provided is unrecognized (must be of type ${kind}): ${messageOf(error).slice(0, 300)} (${summary(body)})`,
    );
  }
  if (parsed.value !== null && !isObject(parsed.value)) {
    const got = Array.isArray(parsed.value) ? 'array' : typeof parsed.value;
    throw apiError.badRequest(
      `the object provided is unrecognized (must be of type ${kind}): couldn't get version/kind; json parse error: json: cannot unmarshal ${got} into Go value of type struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" } (${summary(body)})`,
    );
  }
  return parsed;
}
