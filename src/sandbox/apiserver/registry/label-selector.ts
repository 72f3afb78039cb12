import { apiError } from '../http/api-error.js';
import { type Json, objectsOf, stringMapOf, stringOf, stringsOf, pathOf } from '../json.js';

/** One requirement on labels. */
export interface Requirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist' | 'Gt' | 'Lt';
  readonly values: readonly string[];
}

const labelKey = /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/;
const labelValue = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/;

/** Splits on commas that are not inside parentheses. */
function terms(text: string): string[] {
  const out: string[] = [];
  let depth = 0;
  let start = 0;
  for (let i = 0; i <= text.length; i++) {
    const c = text[i];
    if (c === '(') depth++;
    else if (c === ')') depth--;
    else if ((c === ',' && depth === 0) || c === undefined) {
      out.push(text.slice(start, i).trim());
      start = i + 1;
    }
  }
  return out;
}

function parseTerm(term: string, text: string): Requirement {
  const bad = (why: string): Error =>
    apiError.badRequest(`unable to parse requirement: ${why} in label selector "${text}"`);
  const inList = /^(\S+)\s+(in|notin)\s*\((.*)\)$/s.exec(term);
  const equal = /^([^\s=!<>]+)\s*(==|=|!=|>|<)\s*(\S*)$/.exec(term);
  let requirement: Requirement;
  if (inList !== null) {
    requirement = {
      key: inList[1] ?? '',
      operator: inList[2] === 'in' ? 'In' : 'NotIn',
      values: (inList[3] ?? '').split(',').map((v) => v.trim()),
    };
  } else if (equal !== null) {
    const operators = { '=': 'In', '==': 'In', '!=': 'NotIn', '>': 'Gt', '<': 'Lt' } as const;
    const sign = equal[2] as keyof typeof operators;
    requirement = { key: equal[1] ?? '', operator: operators[sign], values: [equal[3] ?? ''] };
  } else if (term.startsWith('!')) {
    requirement = { key: term.slice(1).trim(), operator: 'DoesNotExist', values: [] };
  } else {
    requirement = { key: term, operator: 'Exists', values: [] };
  }
  if (!labelKey.test(requirement.key)) throw bad(`invalid label key ${JSON.stringify(requirement.key)}`);
  for (const v of requirement.values) {
    if (v.length > 63 || !labelValue.test(v)) throw bad(`invalid label value ${JSON.stringify(v)}`);
  }
  return requirement;
}

/** A parsed selector: every requirement must hold. An empty one selects everything. */
export class LabelSelector {
  readonly requirements: readonly Requirement[];

  constructor(requirements: readonly Requirement[]) {
    this.requirements = requirements;
  }

  /** Parses the query form (`a=b,c in (d,e),!f`). Throws a BadRequest for anything else. */
  static parse(text: string): LabelSelector {
    const trimmed = text.trim();
    if (trimmed === '') return new LabelSelector([]);
    return new LabelSelector(terms(trimmed).map((t) => parseTerm(t, text)));
  }

  /** From the object form (matchLabels, matchExpressions). */
  static fromObject(selector: Json | undefined): LabelSelector {
    const requirements: Requirement[] = Object.entries(stringMapOf(pathOf(selector, 'matchLabels'))).map(
      ([key, value]) => ({ key, operator: 'In', values: [value] }),
    );
    for (const e of objectsOf(pathOf(selector, 'matchExpressions'))) {
      const operator = stringOf(e.operator);
      if (operator === 'In' || operator === 'NotIn' || operator === 'Exists' || operator === 'DoesNotExist') {
        requirements.push({ key: stringOf(e.key), operator, values: stringsOf(e.values) });
      }
    }
    return new LabelSelector(requirements);
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
