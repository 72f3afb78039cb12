/** Tests one value against one compiled pattern. */
export type ValueTest = (value: string) => boolean;

/** Options of {@link compileStringPattern}. */
export interface StringPatternOptions {
  /** Compare without regard to ASCII case (hosts). */
  readonly ignoreCase?: boolean;
  /** A lone `*` also matches an empty value (headers: present is enough). */
  readonly presenceIncludesEmpty?: boolean;
}

/**
 * Compiles the string grammar of AuthorizationPolicy: `*` any non-empty value, `*abc` suffix,
 * `abc*` prefix, anything else exact. An asterisk anywhere else is a literal character, as it is
 * for existing policies. Returns undefined for an empty pattern, which the API refuses.
 */
export function compileStringPattern(
  pattern: string,
  options: StringPatternOptions = {},
): ValueTest | undefined {
  if (pattern === '') return undefined;
  if (pattern === '*') return options.presenceIncludesEmpty === true ? () => true : (value) => value !== '';
  const fold = options.ignoreCase === true ? (text: string) => text.toLowerCase() : (text: string) => text;
  if (pattern.startsWith('*')) {
    const suffix = fold(pattern.slice(1));
    return (value) => fold(value).endsWith(suffix);
  }
  if (pattern.endsWith('*')) {
    const prefix = fold(pattern.slice(0, -1));
    return (value) => fold(value).startsWith(prefix);
  }
  const exact = fold(pattern);
  return (value) => fold(value) === exact;
}

/**
 * Compiles a namespace pattern: here `*` stands for any characters wherever it appears, because
 * the API turns these patterns into expressions. Returns undefined for an empty pattern.
 */
export function compileNamespacePattern(pattern: string): ValueTest | undefined {
  if (pattern === '') return undefined;
  const parts = pattern.split('*');
  const first = parts[0] ?? '';
  const last = parts.at(-1) ?? '';
  if (parts.length === 1) return (value) => value === pattern;
  const middle = parts.slice(1, -1);
  return (value) => {
    if (value.length < first.length + last.length) return false;
    if (!value.startsWith(first) || !value.endsWith(last)) return false;
    // Leftmost placement of each middle part is enough: any later placement leaves less room.
    let at = first.length;
    const end = value.length - last.length;
    for (const part of middle) {
      const found = value.indexOf(part, at);
      if (found < 0 || found + part.length > end) return false;
      at = found + part.length;
    }
    return true;
  };
}
