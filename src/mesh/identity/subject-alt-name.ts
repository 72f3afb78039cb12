import type { SpiffeId } from './spiffe.js';
import { isSpiffeId } from './spiffe.js';

/**
 * The URI names in a certificate's subject alternative name text as Node prints it (`URI:a, DNS:b, URI:"c, d"`).
 * Node quotes every value holding a comma, a quote or a control character as a JSON string, so a
 * value cannot smuggle in a second name.
 */
export function uriNames(subjectAltName: string | undefined): string[] {
  const uris: string[] = [];
  let rest = subjectAltName ?? '';
  while (rest !== '') {
    const entry = /^([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,"]*)(?:, |$)/.exec(rest);
    // An entry we cannot read ends the list: better to know fewer names than to guess one.
    if (entry === null) break;
    const [whole, kind, value = ''] = entry;
    if (kind === 'URI') uris.push(value.startsWith('"') ? String(JSON.parse(value)) : value);
    rest = rest.slice(whole.length);
  }
  return uris;
}

/** The workload identities among a certificate's URI names, in order. Other URIs are ignored. */
export function spiffeNames(subjectAltName: string | undefined): SpiffeId[] {
  return uriNames(subjectAltName).filter(isSpiffeId);
}
