import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import packageFields from '../package.json' with { type: 'json' };
import { ArchiveSink } from '../src/base/oci/archive-sink.js';
import { openArchiveSource } from '../src/base/oci/archive-source.js';
import { copyImage } from '../src/base/oci/copy-image.js';
import { formatImageReference, requireImageReference } from '../src/base/oci/reference.js';
import { DebianPackages } from './images/debian.js';
import { dockerfile, writeContext } from './images/dockerfile.js';
import { predicateTypes, provenanceStatement, sbomStatement } from './images/documents.js';
import { basePackages, type ImageDefinition, imageDefinitions } from './images/image-list.js';
import { architecturesOf, labelsOf, LayoutWriter, type WrittenDescriptor } from './images/layout-writer.js';
import { type Architecture, type ImageLock, readLock } from './images/lock.js';
import { NpmPackages } from './images/npm-packages.js';
import { commonLayers, imageLayers, type LayerSources } from './images/root-layers.js';
import { updateLock } from './images/update-lock.js';

const usage = `usage: npm run images -- [--out DIR] [--image NAME]... [--platform linux/amd64|linux/arm64]... [--hub HUB] [--tag TAG]
                         [--no-archives] [--update-lock]
Writes DIR/layout (OCI layout, all platforms), DIR/images-ARCH.tar for each platform (docker archive and OCI layout in
one) and DIR/Dockerfile. Default DIR is "images"; --update-lock takes the newest packages into scripts/images/lock.json.
`;

/** Debian packages and npm tarballs of earlier builds. */
const cache = resolve('node_modules', '.cache', 'meshctl-images');
const megabyte = 1_000_000;

interface BuiltImage {
  readonly name: string;
  readonly index: WrittenDescriptor;
  readonly sizes: readonly string[];
}

/** Builds the images; resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      out: { type: 'string', default: 'images' },
      image: { type: 'string', multiple: true, default: [] },
      platform: { type: 'string', multiple: true, default: [] },
      hub: { type: 'string', default: 'meshctl' },
      tag: { type: 'string', default: packageFields.version },
      'no-archives': { type: 'boolean', default: false },
      'update-lock': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  mkdirSync(cache, { recursive: true });
  if (values['update-lock']) await updateLock(cache);
  const lock = readLock();
  if (lock === undefined)
    throw new Error('scripts/images/lock.json is missing: npm run images -- --update-lock');
  const chosen = imagesOf(values.image);
  const nameOf = nameWithin(values.hub, values.tag);
  const platforms = architecturesOf(values.platform);
  const staging = `${values.out}.partial`;
  rmSync(staging, { recursive: true, force: true });
  const built = await buildLayout(join(staging, 'layout'), { ...values, nameOf, chosen, platforms, lock });
  if (!values['no-archives']) for (const architecture of platforms) await writeArchive(staging, architecture);
  writeContext(join(staging, 'context'), chosen);
  writeFileSync(join(staging, 'Dockerfile'), dockerfile(chosen, lock));
  rmSync(values.out, { recursive: true, force: true });
  renameSync(staging, values.out);
  for (const { name, index, sizes } of built) console.log(`${name}  ${index.digest}  ${sizes.join(', ')}`);
  return 0;
}

function imagesOf(names: readonly string[]): readonly ImageDefinition[] {
  if (names.length === 0) return imageDefinitions;
  return names.map((name) => {
    const found = imageDefinitions.find((image) => image.name === name);
    if (found !== undefined) return found;
    throw new Error(`unknown image ${name}: it is one of ${imageDefinitions.map((i) => i.name).join(', ')}`);
  });
}

/** Names of images, normalized: that is how container runtimes look for them. */
function nameWithin(hub: string, tag: string): (image: string) => string {
  return (image) => {
    return formatImageReference(requireImageReference(`${hub}/${image}:${tag}`));
  };
}

async function buildLayout(
  folder: string,
  o: {
    readonly chosen: readonly ImageDefinition[];
    readonly platforms: readonly Architecture[];
    readonly lock: ImageLock;
    readonly nameOf: (image: string) => string;
  },
): Promise<readonly BuiltImage[]> {
  const writer = new LayoutWriter(folder);
  const manifests = new Map<
    string,
    { images: WrittenDescriptor[]; about: WrittenDescriptor[]; sizes: string[] }
  >();
  for (const architecture of o.platforms) {
    const npm = new NpmPackages(cache);
    const sources: LayerSources = {
      architecture,
      lock: o.lock,
      npm,
      debian: new DebianPackages(architecture, cache),
    };
    const common = await commonLayers(sources);
    for (const image of o.chosen) {
      const { layers, npmPackages } = await imageLayers(image, common, sources);
      const { version } = packageFields;
      const written = await writer.image(image, { architecture, version, layers });
      const ingredients = {
        image,
        architecture,
        version,
        lock: o.lock,
        debian: [...basePackages, ...image.packages],
        npm: npmPackages,
        digest: written.manifest.digest,
      };
      const about = writer.attestation(written, {
        [predicateTypes.spdx]: sbomStatement(ingredients),
        [predicateTypes.provenance]: provenanceStatement(ingredients),
      });
      const all = manifests.get(image.name) ?? { images: [], about: [], sizes: [] };
      all.images.push(written.manifest);
      all.about.push(about);
      all.sizes.push(`${architecture} ${(written.layerBytes / megabyte).toFixed(1)} MB`);
      manifests.set(image.name, all);
    }
  }
  const built = o.chosen.map((image) => {
    const { images = [], about = [], sizes = [] } = manifests.get(image.name) ?? {};
    const index = writer.index([...images, ...about], labelsOf(image, packageFields.version));
    return { name: o.nameOf(image.name), index, sizes };
  });
  writer.finish(built);
  return built;
}

/** One archive with all images of a platform, from the layout. */
async function writeArchive(folder: string, architecture: Architecture): Promise<void> {
  const { signal } = new AbortController();
  const source = await openArchiveSource(join(folder, 'layout'), signal);
  const sink = new ArchiveSink(join(folder, `images-${architecture}.tar`));
  const platforms = [{ os: 'linux', architecture, variant: '' }];
  for (const image of source.images) await copyImage(image, sink, { platforms, signal });
  await sink.close();
  await source.close();
}
