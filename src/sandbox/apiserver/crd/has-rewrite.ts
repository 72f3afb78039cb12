/** Position of the parenthesis that closes the one at `open`; -1 when there is none. Quotes are skipped. */
function closing(text: string, open: number): number {
  let depth = 0;
  for (let i = open; i < text.length; i++) {
    const c = text[i];
    if (c === '"' || c === "'") {
      for (i++; i < text.length && text[i] !== c; i++) if (text[i] === '\\') i++;
    } else if (c === '(' || c === '[' || c === '{') depth++;
    else if (c === ')' || c === ']' || c === '}') {
      depth--;
      if (depth === 0) return i;
    }
  }
  return -1;
}

/**
 * The CEL library's `has()` takes only plain field paths; CEL also allows
 * `has(self.list[0].field)`. Those are turned into `hasField(self.list[0], "field")`.
 */
export function rewriteHas(expression: string): string {
  let out = '';
  let at = 0;
  for (const match of expression.matchAll(/\bhas\(/g)) {
    if (match.index < at) continue;
    const end = closing(expression, match.index + 3);
    const argument = end < 0 ? '' : expression.slice(match.index + 4, end);
    const split = /^(.*[\])])\s*\.\s*([A-Za-z_]\w*)\s*$/s.exec(argument);
    const path = /^(.*[\])].*)\.\s*([A-Za-z_]\w*)\s*$/s.exec(argument);
    const parts = split ?? path;
    if (parts === null) continue;
    out += `${expression.slice(at, match.index)}hasField(${parts[1]}, "${parts[2]}")`;
    at = end + 1;
  }
  return out + expression.slice(at);
}
