import type { HeaderList } from './header-list.js';

/** Names listed in Connection, lower case. */
export function connectionOptions(headers: HeaderList): string[] {
  return headers
    .all('connection')
    .flatMap((value) => value.split(','))
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
}

const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-connection',
  'proxy-authenticate',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
  'trailer',
];

/**
 * Removes headers meant for this hop only, in place. Done before policy looks, so that policy and
 * backend see the same request. `te` survives only as `trailers`, which means the same end to end.
 */
export function removeHopByHop(headers: HeaderList): void {
  const acceptsTrailers = headers
    .all('te')
    .flatMap((value) => value.split(','))
    .some((value) => value.trim().toLowerCase() === 'trailers');
  for (const name of connectionOptions(headers)) headers.remove(name);
  for (const name of hopByHop) headers.remove(name);
  headers.remove('te');
  if (acceptsTrailers) headers.set('te', 'trailers');
}
