import { isRecord } from '../../collections/is-record.js';
import type { ArchiveFile, ArchiveFiles } from './archive-files.js';
import type { ArchivedImage, ArchivedLayer } from './archived-image.js';
import { parseImageConfig } from './image-config.js';
import { damaged } from '../limits.js';
import { readDocument } from './document.js';

/** An image with its configuration as a file: docker's archives have no manifest that would name it. */
export interface DockerImage extends ArchivedImage {
  readonly configFile: ArchiveFile;
}

/** The images of a `docker save` archive (manifest.json, format 1.2); undefined when it is none. */
export async function readDockerArchive(files: ArchiveFiles): Promise<DockerImage[] | undefined> {
  const manifest = await files.get('manifest.json');
  if (manifest === undefined) return undefined;
  const document = await readDocument(manifest);
  const items: unknown = document?.value;
  if (!Array.isArray(items)) throw damaged('manifest.json is not a list of images');
  const images: DockerImage[] = [];
  for (const item of items) {
    if (!isRecord(item)) throw damaged('manifest.json is not a list of images');
    images.push(await readImage(item, files));
  }
  return images;
}

async function readImage(item: Readonly<Record<string, unknown>>, files: ArchiveFiles): Promise<DockerImage> {
  const configName = item['Config'];
  const layerNames = strings(item['Layers']);
  if (typeof configName !== 'string') throw damaged('an image of manifest.json names no Config');
  const configFile = await files.get(configName);
  const document =
    configFile === undefined ? undefined : await readDocument(configFile, digestInName(configName));
  if (configFile === undefined || document === undefined) throw damaged(`${configName} is missing`);
  const config = parseImageConfig(document.value);
  if (layerNames.length !== config.diffIds.length)
    throw damaged(`${configName} lists ${config.diffIds.length} layers, manifest.json ${layerNames.length}`);
  const layers: ArchivedLayer[] = [];
  for (const name of layerNames) {
    const file = await files.get(name);
    if (file === undefined) throw damaged(`layer ${name} is missing`);
    layers.push({ file, digest: undefined });
  }
  return { names: strings(item['RepoTags']), id: document.digest, digests: [], config, layers, configFile };
}

/** Names of configurations hold their digest: `<hex>.json`, `sha256:<hex>`, or `blobs/sha256/<hex>` since Docker 25. */
function digestInName(name: string): string | undefined {
  const hex = /^(?:blobs\/sha256\/|sha256:)?([a-f0-9]{64})(?:\.json)?$/.exec(name)?.[1];
  return hex === undefined ? undefined : `sha256:${hex}`;
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((v): v is string => typeof v === 'string') : [];
}
