import { type Json, objectsOf, valueIn, stringMapOf, stringOf, stringsOf } from '../../base/json.js';
import { parseRequirements } from './label-selector-parser.js';
import type { Requirement } from './label-requirement.js';

/** A parsed selector: every requirement must hold. An empty one selects everything. */
export class LabelQuery {
  readonly requirements: readonly Requirement[];

  constructor(requirements: readonly Requirement[]) {
    this.requirements = requirements;
  }

  /** Parses the query form (`a=b,c in (d,e),!f`). Throws a BadRequest for anything else. */
  static parse(text: string): LabelQuery {
    return new LabelQuery(parseRequirements(text));
  }

  /** From the object form (matchLabels, matchExpressions). */
  static fromObject(selector: Json | undefined): LabelQuery {
    const requirements: Requirement[] = Object.entries(stringMapOf(valueIn(selector, 'matchLabels'))).map(
      ([key, value]) => ({ key, operator: 'In', values: [value] }),
    );
    for (const e of objectsOf(valueIn(selector, 'matchExpressions'))) {
      const operator = stringOf(e.operator);
      if (operator === 'In' || operator === 'NotIn' || operator === 'Exists' || operator === 'DoesNotExist') {
        requirements.push({ key: stringOf(e.key), operator, values: stringsOf(e.values) });
      }
    }
    return new LabelQuery(requirements);
  }

  get isEmpty(): boolean {
    return this.requirements.length === 0;
  }

  matches(labels: Readonly<Record<string, string>> | undefined): boolean {
    return this.requirements.every((r) => holds(r, labels ?? {}));
  }

  /** The query form, as `status.selector` of a scale carries it. */
  toString(): string {
    return this.requirements
      .map(({ key, operator, values }) => {
        switch (operator) {
          case 'In':
            return values.length === 1 ? `${key}=${values[0]}` : `${key} in (${values.join(',')})`;
          case 'NotIn':
            return values.length === 1 ? `${key}!=${values[0]}` : `${key} notin (${values.join(',')})`;
          case 'Exists':
            return key;
          case 'DoesNotExist':
            return `!${key}`;
          case 'Gt':
            return `${key}>${values[0]}`;
          case 'Lt':
            return `${key}<${values[0]}`;
        }
      })
      .join(',');
  }
}

function holds(r: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const value = Object.hasOwn(labels, r.key) ? labels[r.key] : undefined;
  switch (r.operator) {
    case 'In':
      return value !== undefined && r.values.includes(value);
    case 'NotIn':
      return value === undefined || !r.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return value !== undefined && Number(value) > Number(r.values[0]);
    case 'Lt':
      return value !== undefined && Number(value) < Number(r.values[0]);
  }
}
