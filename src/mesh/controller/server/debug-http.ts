import type { IncomingMessage } from 'node:http';
import { unmapIp } from '#base/net/address.js';
import { isInRange } from '#base/net/ranges.js';
import type { Answer, Handler } from '../../process/http-server.js';
import { type DebugPagesDeps, debugPages } from './debug-pages.js';
import type { TokenAuthenticator } from './token-authenticator.js';

export interface DebugDeps extends DebugPagesDeps {
  readonly version: string;
  readonly authenticator: TokenAuthenticator;
  readonly systemNamespace: string;
}

/** Answers `/version` to everybody, and the diagnostics below `/debug` to those who may see them. */
export function debugHandler(deps: DebugDeps): Handler {
  return async (request, url) => {
    if (url.pathname === '/version') return { status: 200, body: deps.version };
    const page = debugPages[url.pathname];
    if (page === undefined) return undefined;
    if (request.method !== 'GET' && request.method !== 'HEAD') return { status: 405, body: 'only GET\n' };
    return (
      (await refuse(deps, request)) ?? {
        status: 200,
        contentType: 'application/json',
        body: `${JSON.stringify(page(deps), undefined, 2)}\n`,
      }
    );
  };
}

/** Diagnostics are for callers on the pod's own loopback (port-forward) and for the system namespace. */
async function refuse(deps: DebugDeps, request: IncomingMessage): Promise<Answer | undefined> {
  const remote = request.socket.remoteAddress ?? '';
  if (isInRange(unmapIp(remote), 'loopback')) return undefined;
  const token = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1];
  if (token === undefined) return { status: 401, body: 'a service account token is needed\n' };
  try {
    const caller = await deps.authenticator.authenticate(token);
    if (caller === undefined) return { status: 401, body: 'the token is not accepted\n' };
    return caller.namespace === deps.systemNamespace
      ? undefined
      : { status: 403, body: 'only for the system namespace\n' };
  } catch {
    return { status: 503, body: 'the token cannot be checked now\n' };
  }
}
