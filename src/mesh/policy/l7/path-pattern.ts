import { compileStringPattern, type ValueTest } from './string-pattern.js';

const oneSegment = '{*}';
const restSegments = '{**}';

/**
 * Compiles a path of an AuthorizationPolicy: the string grammar, or a template in which `{*}` is
 * exactly one non-empty segment and `{**}`, the last operator, is any rest. Returns undefined for
 * what the API refuses: an empty path, a template that mixes in `*`, an operator that is not a
 * whole segment, an operator after `{**}`, other braces.
 */
export function compilePathPattern(pattern: string): ValueTest | undefined {
  if (!pattern.includes(oneSegment) && !pattern.includes(restSegments)) return compileStringPattern(pattern);
  if (!pattern.startsWith('/')) return undefined;
  const segments = pattern.split('/').slice(1);
  const restAt = segments.indexOf(restSegments);
  for (const [index, segment] of segments.entries()) {
    if (segment === oneSegment || segment === restSegments) {
      if (restAt >= 0 && index > restAt) return undefined;
    } else if (/[{}*]/.test(segment)) {
      return undefined;
    }
  }
  const matchesSegment = (want: string | undefined, have: string | undefined): boolean =>
    want === oneSegment ? have !== undefined && have !== '' : want === have;
  if (restAt < 0) {
    return (path) => {
      const have = path.split('/').slice(1);
      return (
        path.startsWith('/') &&
        have.length === segments.length &&
        segments.every((want, index) => matchesSegment(want, have[index]))
      );
    };
  }
  const head = segments.slice(0, restAt);
  const tail = segments.slice(restAt + 1);
  return (path) => {
    const have = path.split('/').slice(1);
    // `{**}` stands for the text after its slash, which may be empty but not missing.
    if (!path.startsWith('/') || have.length < head.length + tail.length + 1) return false;
    return (
      head.every((want, index) => matchesSegment(want, have[index])) &&
      tail.every((want, index) => matchesSegment(want, have[have.length - tail.length + index]))
    );
  };
}
