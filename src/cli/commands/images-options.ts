import { existsSync, readFileSync } from 'node:fs';
import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import type { CopiedImage } from '#base/oci/copy-image.js';
import { parsePlatform, type Platform } from '#base/oci/platform.js';
import { storedCredentials } from '#base/oci/registry/credentials.js';
import { Registries } from '#base/oci/registry/registry.js';
import { imagesFor, pinnedValues, toolImageFor } from '#mesh/install/images/pin-images.js';
import { type ImageOrigin, openImageOrigin } from '#mesh/install/images/image-origin.js';
import { clientVersion } from '../client-version.js';
import type { OptionSpec } from '../command.js';
import type { CommandContext } from '../context.js';
import type { Options } from '../options.js';
import { toYaml } from '../yaml-document.js';
import { valuesRequestOf } from './install-options.js';

/** How registries are reached: for every command that asks one. */
export const registryOptions: readonly OptionSpec[] = [
  {
    flags: '--ca-file <file>',
    description: 'PEM of the authority that signed the certificate of the registry',
  },
  { flags: '--plain-http', description: 'the registry speaks HTTP without TLS' },
];

export const fromOption: OptionSpec = {
  flags: '--from <source>',
  description:
    'archive, folder with an OCI layout, or hub to take the images from (default: their own registry)',
  completes: 'file',
};

export const platformOption: OptionSpec = {
  flags: '--platform <os/arch>',
  description: 'only images for this platform, such as linux/arm64; repeatable (default: all)',
  repeat: true,
};

export const toolOption: OptionSpec = {
  flags: '--include-tool',
  description: 'also the tool image: clients and an echo server to try a mesh with',
};

/** What an installation with these flags needs, and the tool image where it is asked for. */
export function wantedNames(options: Options): readonly string[] {
  const request = valuesRequestOf(options);
  return [
    ...imagesFor(request, clientVersion).map(({ reference }) => reference),
    ...(options.flag('include-tool') ? [toolImageFor(request, clientVersion)] : []),
  ];
}

/** Formats of commands that know digests: `values` is what pins an installation to them. */
export const copyFormats: readonly string[] = ['table', 'wide', 'json', 'yaml', 'values'];

/** Values for `install -f` by which an installation uses exactly the images that were copied. */
export function valuesDocument(options: Options, copied: readonly CopiedImage[]): string {
  const digestOf = new Map(copied.map(({ name, digest }) => [name, digest]));
  const images = imagesFor(valuesRequestOf(options), clientVersion).map((image) => ({
    ...image,
    digest: digestOf.get(image.reference) ?? '',
  }));
  return toYaml(pinnedValues(images));
}

/** Runs with what registries and the source of the images are to the flags. Throws what the origin does. */
export async function withOrigin<T>(
  { options, io, signal }: CommandContext,
  use: (o: { origin: ImageOrigin; registries: Registries }) => Promise<T>,
): Promise<T> {
  const registries = new Registries({
    credentials: storedCredentials(io.env),
    isPlain: options.flag('plain-http'),
    ca: authorityOf(options.text('ca-file')),
    signal,
  });
  try {
    const origin = await openImageOrigin(options.text('from'), { registries, signal });
    try {
      return await use({ origin, registries });
    } finally {
      await origin.close();
    }
  } finally {
    registries.close();
  }
}

/** Platforms that `--platform` names; undefined without any. Throws MESH0102. */
export function platformsOf(options: Options): readonly Platform[] | undefined {
  const texts = options.texts('platform');
  if (texts.length === 0) return undefined;
  return texts.map((text) => {
    const platform = parsePlatform(text);
    if (platform !== undefined) return platform;
    throw new MeshError('MESH0102', `"${text}" is no platform`, {
      hint: 'Use os/architecture, such as linux/arm64.',
    });
  });
}

function authorityOf(path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    if (existsSync(path)) return readFileSync(path, 'utf8');
  } catch (error) {
    throw new MeshError('MESH0102', `${path} cannot be read`, { evidence: messageOf(error), cause: error });
  }
  throw new MeshError('MESH0102', `--ca-file ${path} does not exist`);
}
