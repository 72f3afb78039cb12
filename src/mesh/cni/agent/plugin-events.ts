import { posix } from 'node:path';
import { isRecord } from '#base/collections/is-record.js';
import type { StartingPod } from '../requests/cni-answers.js';

/**
 * Parses the body of POST /cmdadd, upstream's plugin's report of a pod that starts (Go's default naming). Throws with
 * the reason when it is malformed.
 */
export function parseCmdAdd(text: string): StartingPod {
  const value: unknown = JSON.parse(text);
  if (!isRecord(value)) throw new Error('the body is not a JSON object');
  const { Netns: netns, PodName: name, PodNamespace: namespace, IPs: ips } = value;
  if (!isText(netns) || !isText(name) || !isText(namespace)) {
    throw new Error('Netns, PodName and PodNamespace must be given');
  }
  if (ips !== null && ips !== undefined && !Array.isArray(ips)) throw new Error('IPs is not a list');
  return { netns, name, namespace, uid: undefined, ips: (ips ?? []).map(addressOf) };
}

function addressOf(entry: unknown): string {
  const address = isRecord(entry) && isRecord(entry['Address']) ? entry['Address']['IP'] : undefined;
  if (!isText(address)) throw new Error('an entry of IPs has no Address.IP');
  return address;
}

/**
 * Where the agent finds a namespace path of the node: the mounts of procfs and of the
 * namespace directory. Other paths are refused: anybody who reaches the socket could
 * otherwise make the agent open any file. Throws naming the path.
 */
export function mountedNetnsPath(
  path: string,
  mounts: { readonly procDir: string; readonly netnsDir: string },
): string {
  const normal = posix.normalize(path);
  const named = /^(?:\/var)?\/run\/netns\/([^/]+)$/.exec(normal);
  if (named) return posix.join(mounts.netnsDir, named[1] ?? '');
  const process = /^\/proc\/(\d+)\/ns\/net$/.exec(normal);
  if (process) return posix.join(mounts.procDir, process[1] ?? '', 'ns', 'net');
  throw new Error(`the namespace path ${path} is neither below /var/run/netns nor /proc/PID/ns/net`);
}

/** Parses the body of POST /log: a JSON array of JSON-encoded lines. */
export function parseLogLines(text: string): readonly Record<string, unknown>[] {
  const value: unknown = JSON.parse(text);
  if (!Array.isArray(value)) throw new Error('the body is not a JSON array');
  return value.map((line) => {
    const parsed: unknown = typeof line === 'string' ? JSON.parse(line) : line;
    return isRecord(parsed) ? parsed : { msg: String(parsed) };
  });
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
