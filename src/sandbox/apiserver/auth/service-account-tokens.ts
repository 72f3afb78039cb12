import { createHash, createPrivateKey, createPublicKey, type KeyObject, randomUUID } from 'node:crypto';
import { sign, verify } from 'node:crypto';
import { isObject, type JsonObject, objectOf, stringOf, stringsOf } from '../../base/json.js';
import type { ObjectReader } from '../registry/resource.js';
import { serviceAccountGroups, type UserInfo } from '../user.js';

/** Bounds on what TokenRequest may ask for (seconds). */
export const tokenLifetime = { min: 600, default: 3600, max: 2 ** 32 } as const;
const tokenMaxLength = 16 * 1024;

/** Tokens kept in secrets are told apart by their issuer, and carry flat claims. */
const legacyIssuer = 'kubernetes/serviceaccount';
const legacyClaims = {
  namespace: 'kubernetes.io/serviceaccount/namespace',
  secret: 'kubernetes.io/serviceaccount/secret.name',
  account: 'kubernetes.io/serviceaccount/service-account.name',
  uid: 'kubernetes.io/serviceaccount/service-account.uid',
} as const;

/** The object a token dies with. */
export interface BoundObject {
  readonly kind: 'Pod' | 'Secret' | 'Node';
  readonly name: string;
  readonly uid: string;
  /** The node of a bound pod, when it has one. */
  readonly node?: { readonly name: string; readonly uid: string } | undefined;
}

export interface TokenSubject {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

function encode(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(part: string | undefined): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(part ?? '', 'base64url').toString('utf8'));
    return isObject(value) ? value : undefined;
  } catch {
    // Not JSON: not one of our tokens.
    return undefined;
  }
}

/** Mints and checks the cluster's service account tokens (JWT, ES256). */
export class ServiceAccountTokens {
  readonly issuer: string;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;
  readonly #keyId: string;
  readonly #reader: ObjectReader;

  constructor(deps: { issuer: string; privateKeyPem: string; publicKeyPem: string; reader: ObjectReader }) {
    this.issuer = deps.issuer;
    this.#privateKey = createPrivateKey(deps.privateKeyPem);
    this.#publicKey = createPublicKey(deps.publicKeyPem);
    this.#reader = deps.reader;
    this.#keyId = createHash('sha256')
      .update(this.#publicKey.export({ type: 'spki', format: 'der' }))
      .digest('base64url');
  }

  /** The audience of tokens that ask for none. */
  get defaultAudiences(): readonly string[] {
    return [this.issuer];
  }

  /** The public key as a JSON Web Key Set, for verifiers outside. */
  jwks(): JsonObject {
    const jwk = this.#publicKey.export({ format: 'jwk' });
    return {
      keys: [{ use: 'sig', kty: 'EC', kid: this.#keyId, alg: 'ES256', crv: jwk.crv, x: jwk.x, y: jwk.y }],
    };
  }

  mint(
    subject: TokenSubject,
    options: { audiences: readonly string[]; lifetimeSeconds: number; boundTo?: BoundObject | undefined },
  ): { token: string; expires: Date } {
    const now = Math.floor(Date.now() / 1000);
    const { boundTo } = options;
    const claims: JsonObject = {
      aud: [...options.audiences],
      exp: now + options.lifetimeSeconds,
      iat: now,
      iss: this.issuer,
      jti: randomUUID(),
      'kubernetes.io': {
        namespace: subject.namespace,
        ...(boundTo?.node === undefined ? {} : { node: { name: boundTo.node.name, uid: boundTo.node.uid } }),
        ...(boundTo === undefined
          ? {}
          : { [boundTo.kind.toLowerCase()]: { name: boundTo.name, uid: boundTo.uid } }),
        serviceaccount: { name: subject.name, uid: subject.uid },
      },
      nbf: now,
      sub: `system:serviceaccount:${subject.namespace}:${subject.name}`,
    };
    return { token: this.#sign(claims), expires: new Date((now + options.lifetimeSeconds) * 1000) };
  }

  #sign(claims: JsonObject): string {
    const signed = `${encode({ alg: 'ES256', kid: this.#keyId, typ: 'JWT' })}.${encode(claims)}`;
    const key = { key: this.#privateKey, dsaEncoding: 'ieee-p1363' } as const;
    return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
  }

  /**
   * Who a token speaks for, and which of the wanted audiences it is good for.
   * Undefined when it is not ours, forged, expired, for somebody else, or when
   * the account or the object it is bound to is gone.
   */
  authenticate(
    token: string,
    audiences: readonly string[] = this.defaultAudiences,
  ): { user: UserInfo; audiences: string[] } | undefined {
    if (token.length > tokenMaxLength) return undefined;
    const [head, body, signature, ...rest] = token.split('.');
    if (signature === undefined || rest.length > 0 || decode(head)?.alg !== 'ES256') return undefined;
    const isGenuine = verify(
      'sha256',
      Buffer.from(`${head}.${body}`),
      { key: this.#publicKey, dsaEncoding: 'ieee-p1363' },
      Buffer.from(signature, 'base64url'),
    );
    const claims = decode(body);
    if (!isGenuine || claims === undefined) return undefined;
    if (claims.iss === legacyIssuer) return this.#legacyUser(token, claims, audiences);
    if (claims.iss !== this.issuer) return undefined;
    const now = Date.now() / 1000;
    if (typeof claims.exp !== 'number' || claims.exp <= now) return undefined;
    if (typeof claims.nbf === 'number' && claims.nbf > now + 1) return undefined;
    const matching = stringsOf(claims.aud).filter((a) => audiences.includes(a));
    if (matching.length === 0) return undefined;
    const user = this.#userOf(objectOf(claims['kubernetes.io']), stringOf(claims.jti));
    return user === undefined ? undefined : { user, audiences: matching };
  }

  #legacyUser(
    token: string,
    claims: JsonObject,
    audiences: readonly string[],
  ): { user: UserInfo; audiences: string[] } | undefined {
    const namespace = stringOf(claims[legacyClaims.namespace]);
    const name = stringOf(claims[legacyClaims.account]);
    const account = this.#reader.get('serviceaccounts', namespace, name);
    const secret = this.#reader.get('secrets', namespace, stringOf(claims[legacyClaims.secret]));
    // These tokens are for the API server alone.
    const matching = audiences.filter((a) => this.defaultAudiences.includes(a));
    if (account === undefined || account.metadata.uid !== claims[legacyClaims.uid]) return undefined;
    if (secret === undefined || secret.metadata.deletionTimestamp !== undefined) return undefined;
    const kept = Buffer.from(stringOf(objectOf(secret.data).token), 'base64').toString();
    if (kept !== token || matching.length === 0) return undefined;
    const user = {
      username: `system:serviceaccount:${namespace}:${name}`,
      uid: account.metadata.uid,
      groups: serviceAccountGroups(namespace),
      extra: {},
    };
    return { user, audiences: matching };
  }

  #userOf(claims: JsonObject, tokenId: string): UserInfo | undefined {
    const namespace = stringOf(claims.namespace);
    const account = objectOf(claims.serviceaccount);
    const name = stringOf(account.name);
    const stored = this.#reader.get('serviceaccounts', namespace, name);
    if (stored === undefined || stored.metadata.uid !== account.uid) return undefined;
    const extra: Record<string, readonly string[]> = {
      'authentication.kubernetes.io/credential-id': [`JTI=${tokenId}`],
    };
    for (const [claim, resource] of [
      ['pod', 'pods'],
      ['secret', 'secrets'],
      ['node', 'nodes'],
    ] as const) {
      const bound = claims[claim];
      if (!isObject(bound)) continue;
      const where = resource === 'nodes' ? undefined : namespace;
      // The node claim of a pod's token only informs; the pod itself must still be there.
      if (claim !== 'node' || !isObject(claims.pod)) {
        const object = this.#reader.get(resource, where, stringOf(bound.name));
        if (object === undefined || object.metadata.uid !== bound.uid) return undefined;
      }
      extra[`authentication.kubernetes.io/${claim}-name`] = [stringOf(bound.name)];
      if (claim !== 'secret') extra[`authentication.kubernetes.io/${claim}-uid`] = [stringOf(bound.uid)];
    }
    return {
      username: `system:serviceaccount:${namespace}:${name}`,
      uid: stored.metadata.uid,
      groups: serviceAccountGroups(namespace),
      extra,
    };
  }
}
