import { TLSSocket } from 'node:tls';
import { apiError } from '../api-error.js';
import type { IncomingApiRequest } from '../http/exchange.js';
import { LoopbackSocket } from '../http/loopback.js';
import type { ServiceAccountTokens } from './service-account-tokens.js';
import { anonymousUser, type UserInfo } from '../user.js';

const authenticated = 'system:authenticated';

function oneOrMany(value: string | string[] | undefined): string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : [value];
}

/** The user that a part of this process acts as. */
function fromLoopback({ user }: LoopbackSocket): UserInfo | undefined {
  return user === undefined
    ? undefined
    : { username: user.name, groups: [...user.groups, authenticated], extra: {} };
}

/** Connections keep their certificate: it is looked at once, for all the requests on one. */
const certified = new WeakMap<TLSSocket, UserInfo | 'none'>();

/** The user a verified client certificate names; undefined when none was presented. Throws 401. */
function fromCertificate(request: IncomingApiRequest): UserInfo | undefined {
  // HTTP/2 requests share the socket of their session, behind a proxy object.
  // Typed as the socket of a network, which a connection inside the process has not.
  const socket: unknown = 'stream' in request ? request.stream.session?.socket : request.socket;
  if (socket instanceof LoopbackSocket) return fromLoopback(socket);
  if (!(socket instanceof TLSSocket)) return undefined;
  const known = certified.get(socket) ?? certificateUser(socket) ?? 'none';
  certified.set(socket, known);
  return known === 'none' ? undefined : known;
}

function certificateUser(socket: TLSSocket): UserInfo | undefined {
  const certificate = socket.getPeerCertificate();
  // An empty object is how Node says that there is none.
  if (certificate === null || Object.keys(certificate).length === 0) return undefined;
  if (!socket.authorized) throw apiError.unauthorized();
  // Node gives repeated attributes as arrays; its types know only the single form.
  const subject = certificate.subject as unknown as Record<string, string | string[] | undefined>;
  const username = oneOrMany(subject.CN)[0];
  if (username === undefined || username === '') throw apiError.unauthorized();
  return { username, groups: [...oneOrMany(subject.O), authenticated], extra: {} };
}

/** Tells who makes a request: bearer token, else client certificate, else anonymous. */
export class Authenticator {
  readonly #tokens: ServiceAccountTokens;

  constructor(tokens: ServiceAccountTokens) {
    this.#tokens = tokens;
  }

  /** Throws 401 for credentials that do not hold. */
  authenticate(request: IncomingApiRequest): UserInfo {
    const certified = fromCertificate(request);
    if (certified !== undefined) return certified;
    const token = bearerToken(request);
    if (token === undefined) return anonymousUser;
    const result = this.#tokens.authenticate(token);
    if (result === undefined) throw apiError.unauthorized();
    return result.user;
  }
}

/** A token from the Authorization header, or from the WebSocket protocol browsers have to use. */
function bearerToken(request: IncomingApiRequest): string | undefined {
  const header = request.headers.authorization;
  if (header !== undefined) {
    const match = /^bearer\s+(\S+)$/i.exec(header.trim());
    if (match?.[1] === undefined) throw apiError.unauthorized();
    return match[1];
  }
  const prefix = 'base64url.bearer.authorization.k8s.io.';
  const protocol = (request.headers['sec-websocket-protocol'] ?? '')
    .split(',')
    .map((p) => p.trim())
    .find((p) => p.startsWith(prefix));
  return protocol === undefined
    ? undefined
    : Buffer.from(protocol.slice(prefix.length), 'base64url').toString();
}
