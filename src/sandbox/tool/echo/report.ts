import { hostname } from 'node:os';
import { unmapIp } from '#base/net/address.js';

/** What this instance says about itself in every reply. */
export interface Identity {
  readonly name: string;
  readonly version: string | undefined;
  readonly hostname: string;
  readonly pod: { name?: string; namespace?: string; ip?: string; node?: string; serviceAccount?: string };
}

/** The TLS session a request came in. */
export interface SeenTls {
  /** The name the client asked for (SNI); undefined when it named none. */
  readonly serverName: string | undefined;
  readonly version: string;
  readonly cipher: string;
  /** Subject and alternative names of the client's certificate, when it showed one. */
  readonly client:
    | { readonly subject: string; readonly names: string; readonly isTrusted: boolean }
    | undefined;
}

/** One request as the server saw it on the wire. */
export interface Seen {
  readonly method: string;
  readonly path: string;
  readonly httpVersion: string;
  /** `http/1.1`, `h2c` (without TLS) or `h2`. */
  readonly protocol: string;
  /** undefined without TLS. */
  readonly tls: SeenTls | undefined;
  /** Name and value in order of arrival, names as received. */
  readonly headers: readonly (readonly [string, string])[];
  readonly peer: { readonly address: string; readonly port: number };
  readonly local: { readonly address: string; readonly port: number };
  readonly body: string;
  readonly bodyBytes: number;
}

/** A dual-stack socket shows IPv4 peers as mapped addresses; readers compare them with pod addresses. */
export function plainAddress(address: string | undefined): string {
  return unmapIp(address ?? '');
}

/** Reads the instance's identity from flags and the downward-API variables manifests usually set. */
export function identityFrom(
  env: NodeJS.ProcessEnv,
  flags: { name: string | undefined; version: string | undefined },
): Identity {
  const pod: Identity['pod'] = {};
  if (env['POD_NAME']) pod.name = env['POD_NAME'];
  if (env['POD_NAMESPACE']) pod.namespace = env['POD_NAMESPACE'];
  if (env['POD_IP'] ?? env['INSTANCE_IP']) pod.ip = env['POD_IP'] ?? env['INSTANCE_IP'] ?? '';
  if (env['NODE_NAME']) pod.node = env['NODE_NAME'];
  if (env['SERVICE_ACCOUNT']) pod.serviceAccount = env['SERVICE_ACCOUNT'];
  const host = hostname();
  return { name: flags.name ?? pod.name ?? host, version: flags.version, hostname: host, pod };
}

/** The reply as one JSON document followed by a newline. */
export function renderJson(identity: Identity, seen: Seen): string {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of seen.headers) {
    const key = name.toLowerCase();
    const before = Object.hasOwn(headers, key) ? headers[key] : undefined;
    headers[key] =
      before === undefined ? value : Array.isArray(before) ? [...before, value] : [before, value];
  }
  return `${JSON.stringify({ ...identity, ...seen, headers, rawHeaders: seen.headers })}\n`;
}

/** The reply as lines for people: `Key: value`, then the request as received. */
export function renderText(identity: Identity, seen: Seen): string {
  const lines = [
    `Name: ${identity.name}`,
    ...(identity.version === undefined ? [] : [`Version: ${identity.version}`]),
    `Hostname: ${identity.hostname}`,
    ...Object.entries(identity.pod).map(([key, value]) => `Pod-${key}: ${value}`),
    `Peer: ${seen.peer.address}:${seen.peer.port}`,
    `Local: ${seen.local.address}:${seen.local.port}`,
    ...(seen.tls === undefined
      ? []
      : [`TLS: ${seen.tls.version} ${seen.tls.cipher}`, `SNI: ${seen.tls.serverName ?? ''}`]),
    '',
    `${seen.method} ${seen.path} HTTP/${seen.httpVersion}`,
    ...seen.headers.map(([name, value]) => `${name}: ${value}`),
    '',
  ];
  return `${lines.join('\n')}\n${seen.body}`;
}
