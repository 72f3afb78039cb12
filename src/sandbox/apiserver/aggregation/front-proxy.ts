import type { UserInfo } from '../user.js';
import type { JsonObject } from '../../base/json.js';

/** The name in the certificate with which the server introduces users to other API servers. */
export const frontProxyUser = 'front-proxy-client';

/** Headers that only the server itself may send: they say who a user is. */
export function isIdentityHeader(name: string): boolean {
  return /^x-remote-(user|uid|group$|extra-)/i.test(name);
}

/** The characters of a header name, with the others escaped as in a URL. */
function headerKey(key: string): string {
  return Buffer.from(key)
    .toString('latin1')
    .replace(
      /[^!#$&'*+.^_`|~0-9A-Za-z-]/g,
      (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
    );
}

/** A user as another API server is told of it. */
export function identityHeaders({ username, groups, extra }: UserInfo): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = { 'X-Remote-User': username };
  if (groups.length > 0) headers['X-Remote-Group'] = [...groups];
  for (const [key, values] of Object.entries(extra))
    headers[`X-Remote-Extra-${headerKey(key)}`] = [...values];
  return headers;
}

/** The object in which other API servers find whom to trust: the cluster's authority, and the one behind these headers. */
export function authenticationConfig(caPem: string, frontProxyCaPem: string): JsonObject {
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'extension-apiserver-authentication', namespace: 'kube-system' },
    data: {
      'client-ca-file': caPem,
      'requestheader-allowed-names': JSON.stringify([frontProxyUser]),
      'requestheader-client-ca-file': frontProxyCaPem,
      'requestheader-extra-headers-prefix': JSON.stringify(['X-Remote-Extra-']),
      'requestheader-group-headers': JSON.stringify(['X-Remote-Group']),
      'requestheader-username-headers': JSON.stringify(['X-Remote-User']),
    },
  };
}
