import { existsSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { checkServerIdentity } from 'node:tls';
import { type ChannelCredentials, type ClientOptions, credentials, Metadata } from '@grpc/grpc-js';

/** Where the control plane is and how the two sides prove who they are (xDS and certificate signing alike). */
export interface ControlPlaneEndpoint {
  /** `https://host:port`; the scheme may be omitted. TLS is mandatory. */
  readonly address: string;
  /** A file path, inline PEM, or `SYSTEM` for the operating system's roots. Files are re-read on every connect. */
  readonly rootCa: string;
  /** A second server name that is accepted in the server's certificate. */
  readonly altHostname?: string | undefined;
  /** Bearer token: a file path (re-read for every stream) or the token itself. */
  readonly token?: string | undefined;
  readonly clusterId: string;
  /** Additional request headers. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** gRPC channel settings of section "Transport" of the Workload API. */
export const channelOptions: ClientOptions = {
  'grpc.keepalive_time_ms': 30_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.keepalive_permit_without_calls': 1,
  'grpc.max_receive_message_length': 200 * 1024 * 1024,
  'grpc.max_send_message_length': 200 * 1024 * 1024,
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_retries': 0,
  // The control plane is never behind the user's web proxy.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
};

/** The `host:port` to dial. Throws on a scheme other than https. */
export function channelTarget(address: string): string {
  const url = new URL(address.includes('://') ? address : `https://${address}`);
  if (url.protocol !== 'https:') throw new Error(`control plane address ${address} must use https`);
  return `${url.hostname}:${url.port === '' ? '443' : url.port}`;
}

/** Channel credentials with the roots as they are on disk right now. Throws when the root file cannot be read. */
export function channelCredentials(endpoint: ControlPlaneEndpoint): ChannelCredentials {
  const text = readRoots(endpoint.rootCa);
  const roots = text === undefined ? null : Buffer.from(text);
  const altHostname = endpoint.altHostname;
  return credentials.createSsl(roots, null, null, {
    checkServerIdentity: (host, certificate) => {
      const problem = checkServerIdentity(host, certificate);
      if (problem === undefined || altHostname === undefined) return problem;
      return checkServerIdentity(altHostname, certificate);
    },
  });
}

/** Authentication headers for one call; the token file is read now. Throws when it cannot be read. */
export async function callMetadata(endpoint: ControlPlaneEndpoint): Promise<Metadata> {
  const metadata = new Metadata();
  const token = endpoint.token;
  if (token !== undefined) {
    const text = token.includes('/') || existsSync(token) ? await readFile(token, 'utf8') : token;
    metadata.set('authorization', `Bearer ${text.trim()}`);
  }
  metadata.set('clusterid', endpoint.clusterId);
  for (const [name, value] of Object.entries(endpoint.headers ?? {})) metadata.set(name, value);
  return metadata;
}

/** The PEM text of the roots as it is now; undefined for the operating system's own. Throws when unreadable. */
export function readRoots(rootCa: string): string | undefined {
  if (rootCa === 'SYSTEM') return undefined;
  return rootCa.includes('-----BEGIN') ? rootCa : readFileSync(rootCa, 'utf8');
}
