import { apiError, fieldError } from '../api-error.js';
import { keyProblem, labelValueProblem } from './names.js';
import type { Requirement } from './label-requirement.js';

type TokenType =
  | 'identifier'
  | 'end'
  | 'in'
  | 'notin'
  | '='
  | '=='
  | '!='
  | '!'
  | '>'
  | '<'
  | '('
  | ')'
  | ',';

interface Token {
  readonly type: TokenType;
  readonly text: string;
}

const tokenPattern = /\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)/y;
const operators: Readonly<Partial<Record<TokenType, Requirement['operator']>>> = {
  in: 'In',
  notin: 'NotIn',
  '=': 'In',
  '==': 'In',
  '!=': 'NotIn',
  '>': 'Gt',
  '<': 'Lt',
};
const operatorNames = 'in, notin, =, ==, !=, gt, lt';

function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  tokenPattern.lastIndex = 0;
  for (let m = tokenPattern.exec(text); m !== null; m = tokenPattern.exec(text)) {
    const word = m[1] ?? '';
    const isSymbol = /^[=!(),<>]/.test(word) || word === 'in' || word === 'notin';
    // A word that is a symbol is of the type it spells.
    tokens.push({ type: isSymbol ? (word as TokenType) : 'identifier', text: word });
  }
  return tokens;
}

/** The problem of a selector that reads well but names something impossible. */
function invalid(field: string, value: string, detail: string): Error {
  const { message } = fieldError.invalid(field, value, detail);
  return new Error(`${field}: ${message}`);
}

/** Reads selectors in their query form, with the errors of Kubernetes' own parser. */
class SelectorParser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(text: string) {
    this.#tokens = tokensOf(text);
  }

  requirements(): Requirement[] {
    const out: Requirement[] = [];
    for (;;) {
      const { type, text } = this.#peek();
      if (type === 'end') return out;
      if (type !== 'identifier' && type !== '!') {
        throw new Error(`found '${text}', expected: !, identifier, or 'end of string'`);
      }
      try {
        out.push(this.#requirement());
      } catch (error) {
        throw new Error(
          `unable to parse requirement: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
      const next = this.#take();
      if (next.type === 'end') return out;
      if (next.type !== ',') throw new Error(`found '${next.text}', expected: ',' or 'end of string'`);
      const after = this.#peek();
      if (after.type !== 'identifier' && after.type !== '!') {
        throw new Error(`found '${after.text}', expected: identifier after ','`);
      }
    }
  }

  /** The next token where `in` and `notin` are ordinary words. */
  #peek(): Token {
    const token = this.#tokens[this.#at] ?? { type: 'end', text: '' };
    return token.type === 'in' || token.type === 'notin' ? { ...token, type: 'identifier' } : token;
  }

  #take(): Token {
    const token = this.#peek();
    this.#at++;
    return token;
  }

  #takeOperator(): Token {
    return this.#tokens[this.#at++] ?? { type: 'end', text: '' };
  }

  #requirement(): Requirement {
    let token = this.#take();
    const isAbsence = token.type === '!';
    if (isAbsence) token = this.#take();
    if (token.type !== 'identifier') throw new Error(`found '${token.text}', expected: identifier`);
    const key = token.text;
    const problem = keyProblem(key);
    if (problem !== undefined) throw invalid('<nil>', key, problem);
    if (isAbsence) return { key, operator: 'DoesNotExist', values: [] };
    const next = this.#peek();
    if (next.type === 'end' || next.type === ',') return { key, operator: 'Exists', values: [] };
    const sign = this.#takeOperator();
    const operator = operators[sign.type];
    if (operator === undefined) throw new Error(`found '${sign.text}', expected: ${operatorNames}`);
    const values = sign.type === 'in' || sign.type === 'notin' ? this.#values() : [this.#exactValue()];
    values.forEach((value, i) => {
      if ((operator === 'Gt' || operator === 'Lt') && !/^[-+]?\d+$/.test(value)) {
        throw invalid(`values[${i}]`, value, "for 'Gt', 'Lt' operators, the value must be an integer");
      }
      const wrong = labelValueProblem(value);
      if (wrong !== undefined) throw invalid(`values[${i}][${key}]`, value, wrong);
    });
    return { key, operator, values };
  }

  #exactValue(): string {
    const { type } = this.#peek();
    if (type === 'end' || type === ',') return '';
    const token = this.#take();
    if (token.type !== 'identifier') throw new Error(`found '${token.text}', expected: identifier`);
    return token.text;
  }

  #values(): string[] {
    const open = this.#take();
    if (open.type !== '(') throw new Error(`found '${open.text}' expected: '('`);
    const first = this.#peek();
    if (first.type === ')') {
      this.#at++;
      return [''];
    }
    if (first.type !== 'identifier' && first.type !== ',') {
      throw new Error(`found '${first.text}', expected: ',', ')' or identifier`);
    }
    const values = new Set<string>();
    for (;;) {
      const value = this.#peek();
      // Nothing between two commas, or beside a bracket, is the empty value.
      if (value.type === 'identifier') values.add(this.#take().text);
      else if (value.type === ',' || value.type === ')') values.add('');
      const next = this.#take();
      if (next.type === ')') return [...values];
      if (next.type !== ',') throw new Error(`found '${next.text}', expected: ',' or ')'`);
    }
  }
}

/** Parses the query form of a label selector (`a=b,c in (d,e),!f`). Throws 400. */
export function parseRequirements(text: string): Requirement[] {
  try {
    return new SelectorParser(text).requirements();
  } catch (error) {
    throw apiError.badRequest(error instanceof Error ? error.message : String(error));
  }
}
