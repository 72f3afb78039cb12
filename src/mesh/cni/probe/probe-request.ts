import { isIP } from 'node:net';

/** A connection that the agent is asked to open from inside a pod of its node. */
export interface ProbeRequest {
  /** UID of the pod. */
  readonly uid: string;
  /** IP address. */
  readonly host: string;
  readonly port: number;
  /** Milliseconds for the connection to be made. */
  readonly timeoutMs: number;
}

/** A GET on a connection that the agent holds. */
export interface ProbeHttpRequest {
  readonly authority: string;
  readonly path: string;
  readonly requestId: string;
  /** Milliseconds for the answer. */
  readonly timeoutMs: number;
}

/** A TLS session with a controller, from the node's agent. */
export interface ProbeTlsRequest {
  /** Host name or IP address. */
  readonly host: string;
  readonly port: number;
  /** Certificates of the roots that the answer must lead to, PEM. */
  readonly roots: string;
  /** Milliseconds for everything. */
  readonly timeoutMs: number;
}

/** A connection is given this long at most. */
const timeoutMaxMs = 10_000;
const textMaxChars = 1_024;
const rootsMaxChars = 128 * 1_024;

/** Throws TypeError naming the field that cannot be used. */
export function parseProbeRequest(body: string): ProbeRequest {
  const fields = fieldsOf(body);
  return {
    uid: text(fields, 'uid', /^[0-9A-Za-z-]{1,64}$/),
    host: ip(fields),
    port: whole(fields, 'port', 65_535),
    timeoutMs: whole(fields, 'timeoutMs', timeoutMaxMs),
  };
}

/** Throws TypeError naming the field that cannot be used. */
export function parseProbeHttpRequest(body: string): ProbeHttpRequest {
  const fields = fieldsOf(body);
  return {
    authority: text(fields, 'authority', /^[0-9A-Za-z.:[\]_-]+$/),
    // Printable ASCII without blanks: nothing that could begin another header or request.
    path: text(fields, 'path', /^\/[!-~]*$/),
    requestId: text(fields, 'requestId', /^[0-9A-Za-z-]{1,64}$/),
    timeoutMs: whole(fields, 'timeoutMs', timeoutMaxMs),
  };
}

/** Throws TypeError naming the field that cannot be used. */
export function parseProbeTlsRequest(body: string): ProbeTlsRequest {
  const fields = fieldsOf(body);
  const { roots } = fields;
  if (typeof roots !== 'string' || roots.length > rootsMaxChars || !roots.includes('BEGIN CERTIFICATE'))
    throw new TypeError('roots: certificates in PEM');
  return {
    host: text(fields, 'host', /^[0-9A-Za-z.:-]{1,253}$/),
    port: whole(fields, 'port', 65_535),
    roots,
    timeoutMs: whole(fields, 'timeoutMs', timeoutMaxMs),
  };
}

type Fields = Readonly<Record<string, unknown>>;

function fieldsOf(body: string): Fields {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    throw new TypeError('the body is no JSON');
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed))
    throw new TypeError('the body is no JSON object');
  return parsed as Fields;
}

function text(fields: Fields, name: string, pattern: RegExp): string {
  const value = fields[name];
  if (typeof value !== 'string' || value.length > textMaxChars || !pattern.test(value))
    throw new TypeError(`${name}: a text that matches ${pattern.source}`);
  return value;
}

function ip(fields: Fields): string {
  const { host } = fields;
  if (typeof host !== 'string' || isIP(host) === 0) throw new TypeError('host: an IP address');
  return host;
}

function whole(fields: Fields, name: string, most: number): number {
  const value = fields[name];
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 1 || value > most)
    throw new TypeError(`${name}: a whole number from 1 to ${most}`);
  return value;
}
