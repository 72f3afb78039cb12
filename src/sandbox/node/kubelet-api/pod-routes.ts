/** What a request of the kubelet API is about; `uid` only where its path has one. */
export type PodRoute =
  | {
      readonly action: 'containerLogs' | 'exec' | 'attach';
      readonly pod: PodName;
      readonly container: string;
    }
  | { readonly action: 'portForward'; readonly pod: PodName };

export interface PodName {
  readonly namespace: string;
  readonly name: string;
  readonly uid?: string | undefined;
}

/** Reads `/exec/NAMESPACE/POD[/UID]/CONTAINER` and the like; undefined for other paths. */
export function parsePodRoute(path: string): PodRoute | undefined {
  const [action, ...rest] = path.slice(1).split('/').map(decode);
  const [namespace = '', name = ''] = rest;
  if (namespace === '' || name === '') return undefined;
  if (action === 'portForward' && rest.length <= 3) {
    return { action, pod: { namespace, name, uid: rest[2] } };
  }
  const hasUid = rest.length === 4 && action !== 'containerLogs';
  if (rest.length !== 3 && !hasUid) return undefined;
  const container = rest.at(-1) ?? '';
  if (container === '') return undefined;
  if (action !== 'containerLogs' && action !== 'exec' && action !== 'attach') return undefined;
  return { action, pod: { namespace, name, uid: hasUid ? rest[2] : undefined }, container };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return ''; // no name has broken escapes
  }
}
