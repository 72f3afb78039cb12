import type { ObjectSource, SourceKind } from '../model/object-source.js';
import { type DownwardContext, fieldValue, resourceValue } from '../model/downward.js';
import type { KeyToPath } from '#base/kube/types.js';
import {
  containerNamed,
  type DownwardItem,
  type KubeletProjectedSource,
  type KubeletVolume,
} from '../model/pod.js';
import type { VolumeFile } from './atomic-writer.js';
import type { TokenSource } from './token-source.js';

/** A volume cannot be set up (yet); kubectl shows it as event FailedMount. */
export class VolumeError extends Error {
  override readonly name = 'VolumeError';
}

export interface ContentDeps {
  readonly context: DownwardContext;
  readonly objects: ObjectSource;
  readonly tokens: TokenSource;
}

/** ConfigMaps and Secrets that a volume reads, to watch for changes. */
export function sourcesOf(volume: KubeletVolume): { kind: SourceKind; name: string }[] {
  const result: { kind: SourceKind; name: string }[] = [];
  const add = (kind: SourceKind, name: string | undefined): void => {
    if (name !== undefined && name !== '') result.push({ kind, name });
  };
  add('configmap', volume.configMap?.name);
  add('secret', volume.secret?.secretName);
  for (const source of volume.projected?.sources ?? []) {
    add('configmap', source.configMap?.name);
    add('secret', source.secret?.name);
  }
  return result;
}

/** The files a configMap, secret, downwardAPI or projected volume holds now. Throws {@link VolumeError}. */
export async function volumeContent(
  volume: KubeletVolume,
  deps: ContentDeps,
): Promise<Map<string, VolumeFile>> {
  const files = new Map<string, VolumeFile>();
  const single = singleSource(volume);
  const sources = single === undefined ? (volume.projected?.sources ?? []) : [single.source];
  const defaultMode = single?.defaultMode ?? volume.projected?.defaultMode ?? 0o644;
  for (const source of sources) await addSource(source, { files, defaultMode, deps, volume: volume.name });
  return files;
}

/** The three plain kinds are projected volumes with one source. */
function singleSource(
  volume: KubeletVolume,
): { source: KubeletProjectedSource; defaultMode: number | undefined } | undefined {
  const { configMap, secret, downwardAPI } = volume;
  if (configMap !== undefined) return { source: { configMap }, defaultMode: configMap.defaultMode };
  if (downwardAPI !== undefined) return { source: { downwardAPI }, defaultMode: downwardAPI.defaultMode };
  if (secret === undefined) return undefined;
  const { secretName, ...rest } = secret;
  return {
    source: { secret: { ...rest, ...(secretName === undefined ? {} : { name: secretName }) } },
    defaultMode: secret.defaultMode,
  };
}

interface Target {
  readonly files: Map<string, VolumeFile>;
  readonly defaultMode: number;
  readonly deps: ContentDeps;
  readonly volume: string;
}

async function addSource(source: KubeletProjectedSource, target: Target): Promise<void> {
  const { files, deps, defaultMode } = target;
  if (source.configMap !== undefined) await addObject('configmap', source.configMap, target);
  if (source.secret !== undefined) await addObject('secret', source.secret, target);
  for (const item of source.downwardAPI?.items ?? []) {
    files.set(item.path, { content: downwardContent(item, deps.context), mode: item.mode ?? defaultMode });
  }
  if (source.clusterTrustBundle !== undefined)
    throw new VolumeError(
      'clusterTrustBundle projections are not served: the ClusterTrustBundle API is off in Kubernetes 1.32',
    );
  if (source.serviceAccountToken !== undefined) {
    const { path, audience, expirationSeconds } = source.serviceAccountToken;
    const token = await deps.tokens.token(deps.context.pod, { audience, expirationSeconds });
    // Kubelet narrows a token to its owner; every container of ours runs as the one mapped owner or has its group.
    files.set(path, { content: Buffer.from(token), mode: defaultMode });
  }
}

async function addObject(
  kind: SourceKind,
  ref: { readonly name?: string; readonly items?: readonly KeyToPath[]; readonly optional?: boolean },
  { files, deps, defaultMode }: Target,
): Promise<void> {
  const name = ref.name ?? '';
  const data = await deps.objects.read(kind, deps.context.pod.metadata.namespace, name);
  if (data === undefined) {
    if (ref.optional === true) return;
    throw new VolumeError(`${kind} "${name}" not found`);
  }
  if (ref.items === undefined) {
    for (const [key, content] of data) files.set(key, { content, mode: defaultMode });
    return;
  }
  for (const { key, path, mode } of ref.items) {
    const content = data.get(key);
    if (content !== undefined) files.set(path, { content, mode: mode ?? defaultMode });
    else if (ref.optional !== true)
      throw new VolumeError(
        kind === 'secret'
          ? `references non-existent secret key: ${key}`
          : `configmap references non-existent config key: ${key}`,
      );
  }
}

function downwardContent(item: DownwardItem, context: DownwardContext): Buffer {
  if (item.fieldRef !== undefined) {
    const value = fieldValue(item.fieldRef.fieldPath, context);
    if (value === undefined) throw new VolumeError(`unsupported fieldPath: ${item.fieldRef.fieldPath}`);
    return Buffer.from(value);
  }
  const ref = item.resourceFieldRef;
  const container =
    ref?.containerName === undefined ? undefined : containerNamed(context.pod, ref.containerName);
  const value =
    ref === undefined || container === undefined ? undefined : resourceValue(ref, container, context);
  if (value === undefined) throw new VolumeError(`unsupported downward API item ${item.path}`);
  return Buffer.from(value);
}
