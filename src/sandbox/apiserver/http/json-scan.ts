/** What a scan of JSON text found beyond its value. */
export interface JsonScan {
  /** Paths of properties that occur more than once, as strict decoding names them. */
  readonly duplicates: readonly string[];
  /** The first error in the words of Go's decoder; undefined for valid text. */
  readonly problem: string | undefined;
}

const maxDuplicates = 20;
const depthMax = 10_000;

class Problem extends Error {}

class Scanner {
  readonly #text: string;
  readonly #sees: (path: string, position: number) => void;
  #at = 0;
  readonly duplicates: string[] = [];

  /** @param sees hears of every property: its path and where its value begins. */
  constructor(text: string, sees: (path: string, position: number) => void = () => undefined) {
    this.#text = text;
    this.#sees = sees;
  }

  document(): void {
    this.#value('', 0, 'looking for beginning of value');
    this.#blank();
    if (this.#at < this.#text.length) throw this.#unexpected('after top-level value');
  }

  #unexpected(context: string): Problem {
    const c = this.#text[this.#at];
    if (c === undefined) return new Problem('unexpected end of JSON input');
    return new Problem(`invalid character ${c === "'" ? `'\\''` : `'${c}'`} ${context}`);
  }

  #blank(): void {
    for (;;) {
      const c = this.#text.charCodeAt(this.#at);
      if (c !== 32 && c !== 10 && c !== 13 && c !== 9) return;
      this.#at++;
    }
  }

  #value(path: string, depth: number, context: string): void {
    if (depth > depthMax) throw new Problem('exceeded max depth');
    this.#blank();
    const c = this.#text[this.#at];
    if (c === '{') this.#object(path, depth);
    else if (c === '[') this.#array(path, depth);
    else if (c === '"') this.#string();
    else if (c === 't') this.#literal('true');
    else if (c === 'f') this.#literal('false');
    else if (c === 'n') this.#literal('null');
    else if (c === '-' || (c !== undefined && c >= '0' && c <= '9')) this.#number();
    else throw this.#unexpected(context);
  }

  #object(path: string, depth: number): void {
    const seen = new Set<string>();
    this.#at++;
    this.#blank();
    if (this.#text[this.#at] === '}') {
      this.#at++;
      return;
    }
    for (;;) {
      this.#blank();
      if (this.#text[this.#at] !== '"') throw this.#unexpected('looking for beginning of object key string');
      const key = this.#string();
      const child = path === '' ? key : `${path}.${key}`;
      if (seen.has(key) && this.duplicates.length < maxDuplicates) this.duplicates.push(child);
      seen.add(key);
      this.#blank();
      if (this.#text[this.#at] !== ':') throw this.#unexpected('after object key');
      this.#at++;
      this.#sees(child, this.#at);
      this.#value(child, depth + 1, 'looking for beginning of value');
      this.#blank();
      const next = this.#text[this.#at];
      if (next !== ',' && next !== '}') throw this.#unexpected('after object key:value pair');
      this.#at++;
      if (next === '}') return;
    }
  }

  #array(path: string, depth: number): void {
    this.#at++;
    this.#blank();
    if (this.#text[this.#at] === ']') {
      this.#at++;
      return;
    }
    for (let i = 0; ; i++) {
      this.#value(`${path}[${i}]`, depth + 1, 'looking for beginning of value');
      this.#blank();
      const next = this.#text[this.#at];
      if (next !== ',' && next !== ']') throw this.#unexpected('after array element');
      this.#at++;
      if (next === ']') return;
    }
  }

  #string(): string {
    const start = this.#at++;
    let isEscaped = false;
    for (;;) {
      const c = this.#text.charCodeAt(this.#at);
      if (Number.isNaN(c)) throw this.#unexpected('');
      if (c < 32) throw this.#unexpected('in string literal');
      this.#at++;
      if (c === 92) {
        isEscaped = true;
        this.#at++;
      } else if (c === 34) break;
    }
    const raw = this.#text.slice(start, this.#at);
    if (!isEscaped) return raw.slice(1, -1);
    try {
      return String(JSON.parse(raw));
    } catch {
      throw new Problem('invalid character in string escape code');
    }
  }

  #literal(word: string): void {
    for (let i = 0; i < word.length; i++) {
      const wanted = word[i];
      if (this.#text[this.#at] !== wanted) {
        throw this.#unexpected(
          i === 0 ? 'looking for beginning of value' : `in literal ${word} (expecting '${wanted}')`,
        );
      }
      this.#at++;
    }
  }

  #number(): void {
    const rest = /^-?(0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/.exec(this.#text.slice(this.#at, this.#at + 400));
    if (rest === null) {
      this.#at++;
      throw this.#unexpected('in numeric literal');
    }
    this.#at += rest[0].length;
  }
}

/** Reads JSON text for what JSON.parse does not tell: properties given twice, and errors as Go words them. */
export function scanJson(text: string): JsonScan {
  const scanner = new Scanner(text);
  try {
    scanner.document();
    return { duplicates: scanner.duplicates, problem: undefined };
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    return { duplicates: scanner.duplicates, problem: error.message };
  }
}

/** Where in a valid JSON text properties stand, by path, each time they are given. */
export function propertyPositions(text: string, paths: ReadonlySet<string>): ReadonlyMap<string, number[]> {
  const found = new Map<string, number[]>();
  new Scanner(text, (path, position) => {
    if (paths.has(path)) found.set(path, [...(found.get(path) ?? []), position]);
  }).document();
  return found;
}
