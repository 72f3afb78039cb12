/**
 * Names of standard functions that are implemented here rather than by the CEL
 * library, each with a stand-in of the same length, so that positions in
 * error messages stay right: `has()` of the library takes only plain paths,
 * and its `matches()` uses backtracking regular expressions.
 */
const standIns: Readonly<Record<string, string>> = { has: 'hAs', matches: 'mAtches' };
const originals = new Map(Object.entries(standIns).map(([name, standIn]) => [standIn, name]));

const quotes = ['"""', "'''", '"', "'"] as const;

/** Where the string literal that starts at `at` ends; `at` itself when none starts there. */
function literalEnd(text: string, at: number, isRaw: boolean): number {
  const quote = quotes.find((q) => text.startsWith(q, at));
  if (quote === undefined) return at;
  let i = at + quote.length;
  while (i < text.length && !text.startsWith(quote, i)) i += !isRaw && text[i] === '\\' ? 2 : 1;
  return i + quote.length;
}

/** An expression as the library can parse it, in the same length. */
export interface PreparedSource {
  readonly text: string;
  /** Where `!` stands for the `?` before an element of a list or map: the library has no optional elements. */
  readonly optionalElements: ReadonlySet<number>;
}

/** Puts the stand-ins in place of calls and of `?` before elements; strings and comments stay as they are. */
export function prepareSource(expression: string): PreparedSource {
  let out = '';
  let at = 0;
  const optionalElements = new Set<number>();
  /** Brackets that are open: `i` for one that indexes. */
  const open: string[] = [];
  /** The character before, but for white space; a word that ends an operand is `w`. */
  let before = '';
  const see = (char: string): void => {
    if (char === '[') open.push(/[w)\]}"']/.test(before) ? 'i' : '[');
    else if (char === '{' || char === '(') open.push(char);
    else if (char === ']' || char === '}' || char === ')') open.pop();
    if (/\S/.test(char)) before = char;
  };
  while (at < expression.length) {
    if (expression.startsWith('//', at)) {
      const end = expression.indexOf('\n', at);
      const stop = end < 0 ? expression.length : end;
      out += expression.slice(at, stop);
      at = stop;
      continue;
    }
    const word = /^[A-Za-z_]\w*/.exec(expression.slice(at, at + 256))?.[0] ?? '';
    if (word !== '') {
      const after = at + word.length;
      const isPrefix = /^(?:r|b|rb|br)$/i.test(word) && /["']/.test(expression[after] ?? '');
      const isCall = /^\s*\(/.test(expression.slice(after, after + 64));
      const standIn = isCall && Object.hasOwn(standIns, word) ? standIns[word] : undefined;
      out += standIn ?? word;
      at = after;
      if (isPrefix) {
        const end = literalEnd(expression, at, /r/i.test(word));
        out += expression.slice(at, end);
        at = end;
      }
      before = word === 'in' ? ' ' : 'w';
      continue;
    }
    const end = Math.max(literalEnd(expression, at, false), at + 1);
    const piece = expression.slice(at, end);
    const isElement = ['[', '{', ','].includes(before) && ['[', '{'].includes(open.at(-1) ?? '');
    if (piece === '?' && isElement) {
      optionalElements.add(at);
      out += '!';
    } else out += piece;
    see(/\d/.test(piece) ? 'w' : piece.slice(-1));
    at = end;
  }
  return { text: out, optionalElements };
}

/** A message with the names the author wrote. */
export function withOriginals(message: string): string {
  return message.replace(/\b(?:hAs|mAtches)\b/g, (name) => originals.get(name) ?? name);
}
