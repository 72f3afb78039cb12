import type { Environment } from '@marcbachmann/cel-js';
import { define } from './define.js';

/** An absolute URI, or an absolute path, taken apart without normalizing anything. */
class CelUrl {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  readonly query: string;

  constructor(scheme: string, host: string, path: string, query: string) {
    this.scheme = scheme;
    this.host = host;
    this.path = path;
    this.query = query;
  }
}

const absolute = /^([A-Za-z][A-Za-z0-9+.-]*):(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#.*)?$/s;
const rooted = /^(\/[^?]*)(?:\?(.*))?$/s;
const authority = /^(?:[^@]*@)?((?:\[[0-9A-Fa-f:.%]+\]|[^:[\]]*)(?::\d*)?)$/;
/** Control characters, spaces, and percent signs that escape nothing. */
// oxlint-disable-next-line no-control-regex -- these are what URLs may not contain
const forbidden = /[\u0000-\u0020\u007f]|%(?![0-9A-Fa-f]{2})/;
const charactersMax = 100_000;

function parseUrl(text: string): CelUrl | undefined {
  if (text === '' || text.length > charactersMax || forbidden.test(text)) return undefined;
  const path = rooted.exec(text);
  if (path !== null && !text.startsWith('//')) return new CelUrl('', '', path[1] ?? '', path[2] ?? '');
  const match = absolute.exec(text);
  if (match === null) return undefined;
  const [, scheme = '', rawHost = '', rest = '', query = ''] = match;
  const host = authority.exec(rawHost)?.[1];
  return host === undefined ? undefined : new CelUrl(scheme.toLowerCase(), host, rest, query);
}

function hostname(host: string): string {
  return host.replace(/:\d*$/, '').replace(/^\[(.*)\]$/, '$1');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    // Bytes that are no UTF-8 stay escaped.
    return text;
  }
}

function queryOf(query: string): Map<string, string[]> {
  const out = new Map<string, string[]>();
  for (const pair of query.split('&').filter((p) => p !== '' && !p.includes(';'))) {
    const at = pair.indexOf('=');
    const key = decoded(at < 0 ? pair : pair.slice(0, at));
    const values = out.get(key) ?? [];
    values.push(at < 0 ? '' : decoded(pair.slice(at + 1)));
    out.set(key, values);
  }
  return out;
}

/** Kubernetes' URL functions. */
export function registerUrls(environment: Environment): void {
  environment.registerType('kubernetes.URL', { ctor: CelUrl, fields: {} });
  environment.registerOperator(
    'kubernetes.URL == kubernetes.URL',
    (a: CelUrl, b: CelUrl) =>
      a.scheme === b.scheme && a.host === b.host && a.path === b.path && a.query === b.query,
  );
  define(environment, {
    'url(string): kubernetes.URL': (text: string) => {
      const url = parseUrl(text);
      if (url === undefined)
        throw new Error(
          `URL parse error during conversion from string: ${JSON.stringify(text)} is neither an absolute URI nor an absolute path`,
        );
      return url;
    },
    'isURL(string): bool': (text: string) => parseUrl(text) !== undefined,
    'kubernetes.URL.getScheme(): string': (u: CelUrl) => u.scheme,
    'kubernetes.URL.getHost(): string': (u: CelUrl) => u.host,
    'kubernetes.URL.getHostname(): string': (u: CelUrl) => hostname(u.host),
    'kubernetes.URL.getPort(): string': (u: CelUrl) =>
      /:(\d*)$/.exec(u.host.replace(/^\[.*\]/, ''))?.[1] ?? '',
    'kubernetes.URL.getEscapedPath(): string': (u: CelUrl) => u.path,
    'kubernetes.URL.getQuery(): map<string, list<string>>': (u: CelUrl) => queryOf(u.query),
  });
}
