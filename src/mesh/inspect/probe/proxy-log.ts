import { messageOf } from '#base/errors/mesh-error.js';
import type { KubeClient } from '#base/kube/client.js';
import type { Pod } from '#base/kube/types.js';

/** The fields of a log line of ours or upstream's, by name. */
export type ProxyLogFields = Readonly<Record<string, string>>;

const linesMax = 2_000;
const limitMs = 5_000;

/** The newest line of a pod's log since a moment that satisfies `isWanted`, or why the log cannot be read. */
export async function findLogLine(
  client: KubeClient,
  pod: Pod,
  of: { readonly sinceMs: number; readonly isWanted: (fields: ProxyLogFields) => boolean },
): Promise<{ readonly fields?: ProxyLogFields; readonly why?: string }> {
  const { namespace = '', name } = pod.metadata;
  const sinceSeconds = Math.max(1, Math.ceil((Date.now() - of.sinceMs) / 1_000) + 1);
  let fields: ProxyLogFields | undefined;
  try {
    const lines = client.stream({
      path: `/api/v1/namespaces/${namespace}/pods/${name}/log`,
      query: {
        container: pod.spec.containers[0]?.name ?? '',
        sinceSeconds: String(sinceSeconds),
        tailLines: String(linesMax),
      },
      signal: AbortSignal.timeout(limitMs),
    });
    for await (const line of lines) {
      const read = parseLogLine(line);
      if (of.isWanted(read)) fields = read;
    }
  } catch (error) {
    return { why: `the log of Pod ${namespace}/${name} cannot be read: ${messageOf(error)}` };
  }
  return fields === undefined ? {} : { fields };
}

/** `key=value`, `key="quoted"` or one JSON object; what is neither is left out. */
export function parseLogLine(line: string): ProxyLogFields {
  if (line.startsWith('{')) {
    try {
      const entries = Object.entries(JSON.parse(line) as Record<string, unknown>);
      return Object.fromEntries(entries.map(([key, value]) => [key, String(value)]));
    } catch {
      return {};
    }
  }
  const fields: Record<string, string> = {};
  for (const [, key = '', quoted, bare] of line.matchAll(
    /([A-Za-z][\w.]*)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))/g,
  )) {
    fields[key] = quoted === undefined ? (bare ?? '') : quoted.replace(/\\(.)/g, '$1');
  }
  return fields;
}
