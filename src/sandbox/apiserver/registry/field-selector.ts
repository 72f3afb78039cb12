import { apiError } from '../api-error.js';
import { type Json, valueIn } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { propertySchema, type Schema } from '../schema/schema.js';
import type { ServedResource } from './resource.js';

interface FieldRequirement {
  /** Read where the path leads to nothing. */
  readonly otherwise?: readonly string[];
  readonly path: readonly string[];
  readonly value: string;
  readonly isNegated: boolean;
  /** What an absent field counts as. */
  readonly absent: string;
}

type Selectable = Pick<ServedResource, 'selectableFields' | 'schema' | 'isCustom' | 'kind'>;

const alwaysSupported = ['metadata.name', 'metadata.namespace'];

function textOf(value: Json | undefined, absent: string): string {
  if (value === undefined || value === null) return absent;
  return typeof value === 'object' ? '' : String(value);
}

/** Splits on commas that no backslash escapes. */
function termsOf(text: string): string[] {
  const out: string[] = [];
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    if (text[i] === '\\') i++;
    else if (i === text.length || text[i] === ',') {
      out.push(text.slice(start, i));
      start = i + 1;
    }
  }
  if (start <= text.length && text.endsWith('\\')) out.push(text.slice(start));
  return out;
}

function unescaped(value: string, text: string): string {
  return value.replace(/\\(.?)/gs, (whole, c: string) => {
    if (c === '\\' || c === ',' || c === '=') return c;
    throw apiError.badRequest(`invalid field selector: invalid escape sequence: ${whole} in ${text}`);
  });
}

/** What an absent field of a built-in kind counts as: the zero value of its type. */
function zeroOf(schema: Schema, path: readonly string[]): string {
  let current: Schema | undefined = schema;
  for (const step of path) current = propertySchema(current, step);
  if (current?.type === 'boolean') return 'false';
  return current?.type === 'integer' ? '0' : '';
}

function unsupported(field: string, resource: Selectable): Error {
  // Kinds without fields of their own are told apart in Kubernetes.
  return apiError.badRequest(
    resource.isCustom || resource.selectableFields.length > 0
      ? `field label not supported: ${field}`
      : `${JSON.stringify(field)} is not a known field selector: only ${alwaysSupported.map((f) => `"${f}"`).join(', ')}`,
  );
}

/** A parsed field selector such as `spec.nodeName=a,status.phase!=Failed`. */
export class FieldSelector {
  readonly #requirements: readonly FieldRequirement[];

  private constructor(requirements: readonly FieldRequirement[]) {
    this.#requirements = requirements;
  }

  /** Parses, allowing the name, the namespace and the fields of the resource. Throws 400. */
  static parse(text: string, resource: Selectable): FieldSelector {
    const requirements: FieldRequirement[] = [];
    for (const term of termsOf(text)) {
      if (term === '') continue;
      const match = /^([^=!]*)(!=|==|=)(.*)$/s.exec(term);
      const field = match?.[1];
      if (field === undefined) {
        throw apiError.badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
      }
      const value = unescaped(match?.[3] ?? '', text);
      if (!alwaysSupported.includes(field) && !resource.selectableFields.includes(field)) {
        throw unsupported(field, resource);
      }
      // The one field that is a shorthand; who reports in the newer form counts as the source.
      const isSource = field === 'source' && resource.kind === 'Event';
      const path = isSource ? ['source', 'component'] : field.split('.');
      requirements.push({
        path,
        ...(isSource ? { otherwise: ['reportingComponent'] } : {}),
        value,
        isNegated: match?.[2] === '!=',
        absent: zeroOf(resource.schema, path),
      });
    }
    return new FieldSelector(requirements);
  }

  get isEmpty(): boolean {
    return this.#requirements.length === 0;
  }

  matches(object: ApiObject): boolean {
    return this.#requirements.every((r) => (valueOf(object, r) === r.value) !== r.isNegated);
  }
}

function valueOf(object: ApiObject, { path, otherwise, absent }: FieldRequirement): string {
  const value = textOf(valueIn(object, ...path), absent);
  return value === '' && otherwise !== undefined ? textOf(valueIn(object, ...otherwise), absent) : value;
}
