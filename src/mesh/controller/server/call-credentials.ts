import type { Metadata } from '@grpc/grpc-js';
import type { Caller, TokenAuthenticator } from './token-authenticator.js';

/** Longest token looked at; projected service account tokens are about 1 KiB. */
const maxTokenChars = 16 * 1024;

/** Who makes a gRPC call, by its bearer token; undefined without a token anybody vouches for. */
export async function callerFrom(
  metadata: Pick<Metadata, 'get'>,
  authenticator: TokenAuthenticator,
): Promise<Caller | undefined> {
  const token = bearerToken(metadata.get('authorization').map(String)[0]);
  return token === undefined ? undefined : authenticator.authenticate(token);
}

/** The token of an `authorization` header. */
export function bearerToken(header: string | undefined): string | undefined {
  const token = /^Bearer +(\S+)$/i.exec(header ?? '')?.[1];
  return token === undefined || token.length > maxTokenChars ? undefined : token;
}
