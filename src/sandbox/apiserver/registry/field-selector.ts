import { apiError } from '../http/api-error.js';
import type { Json } from '../json.js';
import { pathOf } from '../json.js';
import type { KubeObject } from '../object.js';

interface FieldRequirement {
  readonly path: readonly string[];
  readonly field: string;
  readonly value: string;
  readonly isNegated: boolean;
}

function textOf(value: Json | undefined): string {
  if (value === undefined || value === null) return '';
  return typeof value === 'object' ? '' : String(value);
}

/** A parsed field selector such as `spec.nodeName=a,status.phase!=Failed`. */
export class FieldSelector {
  readonly #requirements: readonly FieldRequirement[];

  private constructor(requirements: readonly FieldRequirement[]) {
    this.#requirements = requirements;
  }

  /** Parses; `supported` names the fields a resource can be selected by besides name and namespace. */
  static parse(text: string, supported: readonly string[]): FieldSelector {
    if (text.trim() === '') return new FieldSelector([]);
    const requirements = text.split(',').map((term): FieldRequirement => {
      const match = /^\s*([^=!\s]+)\s*(!=|==|=)\s*(.*)$/.exec(term);
      const field = match?.[1];
      if (field === undefined) {
        throw apiError.badRequest(`invalid selector: '${text}'; can't understand '${term}'`);
      }
      if (field !== 'metadata.name' && field !== 'metadata.namespace' && !supported.includes(field)) {
        throw apiError.badRequest(`field label not supported: ${field}`);
      }
      return { field, path: field.split('.'), value: match?.[3] ?? '', isNegated: match?.[2] === '!=' };
    });
    return new FieldSelector(requirements);
  }

  get isEmpty(): boolean {
    return this.#requirements.length === 0;
  }

  /** The one name that can match, when the selector pins it. */
  get name(): string | undefined {
    return this.#requirements.find((r) => r.field === 'metadata.name' && !r.isNegated)?.value;
  }

  matches(object: KubeObject): boolean {
    return this.#requirements.every((r) => (textOf(pathOf(object, ...r.path)) === r.value) !== r.isNegated);
  }
}
