/** A request target split and normalized. */
export interface NormalizedTarget {
  /** Starts with `/`, without query. */
  readonly path: string;
  /** With its `?`, or empty. */
  readonly query: string;
}

/**
 * Normalizes a request target as mesh option pathNormalization BASE does: backslashes become
 * slashes, dot segments are resolved (also written as %2e), needlessly escaped characters are
 * unescaped (RFC 3986 6.2.2), other bytes are escaped. Policy sees the result and the backend gets
 * it, so the two cannot disagree. Undefined for what no backend should have to interpret: a
 * fragment, a control character, an escaped NUL, a broken escape, a target that is no path.
 */
export function normalizeTarget(target: string): NormalizedTarget | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (!target.startsWith('/') || /[\u0000-\u0020\u007f#]/.test(target)) return undefined;
  const mark = target.indexOf('?');
  const rawPath = mark < 0 ? target : target.slice(0, mark);
  const query = mark < 0 ? '' : escapeBytes(target.slice(mark));
  if (/%(?![0-9A-Fa-f]{2})/.test(rawPath) || /%00/.test(rawPath)) return undefined;
  const unescaped = rawPath.replaceAll('\\', '/').replace(/%[0-9A-Fa-f]{2}/g, (escape) => {
    const char = String.fromCharCode(Number.parseInt(escape.slice(1), 16));
    return /[A-Za-z0-9\-._~]/.test(char) ? char : escape;
  });
  return { path: removeDotSegments(escapeBytes(unescaped)), query };
}

/** RFC 3986 5.2.4 for an absolute path. Empty segments are kept: merging slashes is another option. */
function removeDotSegments(path: string): string {
  const out: string[] = [];
  const segments = path.split('/').slice(1);
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1;
    if (segment === '.') {
      if (isLast) out.push('');
    } else if (segment === '..') {
      out.pop();
      if (isLast) out.push('');
    } else {
      out.push(segment);
    }
  }
  return `/${out.join('/')}`;
}

/** Escapes bytes above ASCII; Node hands each byte over as one character. */
function escapeBytes(text: string): string {
  return text.replace(/[\u0080-\uffff]/g, (char) => {
    const code = char.charCodeAt(0);
    return code <= 0xff ? `%${code.toString(16).toUpperCase().padStart(2, '0')}` : encodeURIComponent(char);
  });
}
