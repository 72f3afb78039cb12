import { imagesFor, pinImages, pinnedValues } from '#mesh/install/images/pin-images.js';
import { pushImages, saveImages } from '#mesh/install/images/move-images.js';
import type { CopiedImage } from '#base/oci/copy-image.js';
import { MeshError } from '#base/errors/mesh-error.js';
import type { CommandDefinition, TextView } from '../command.js';
import { toYaml } from '../yaml-document.js';
import {
  copyFormats,
  fromOption,
  platformOption,
  platformsOf,
  registryOptions,
  toolOption,
  valuesDocument,
  wantedNames,
  withOrigin,
} from './images-options.js';
import { clientVersion } from '../client-version.js';
import { valuesOptions, valuesRequestOf } from './install-options.js';

/** Images are large, and lines may be slow. */
const transferTimeoutMs = 3_600_000;

/** `meshctl images list`. */
export const imagesListCommand: CommandDefinition = {
  description:
    'Lists the images that an installation with these flags needs. With --digests or --from it asks what they are now; -o values then prints values for "install -f" by which exactly these are used.',
  options: [
    ...valuesOptions,
    { flags: '--digests', description: 'ask the registry for the digest of each' },
    fromOption,
    ...registryOptions,
  ],
  formats: copyFormats,
  examples: [
    'meshctl images list',
    'meshctl images list --hub registry.example.com/mesh --digests -o values > images.yaml',
  ],
  permissions: [],
  run: async (context) => {
    const { options, output } = context;
    const images = imagesFor(valuesRequestOf(options), clientVersion);
    const isAsked = options.flag('digests') || options.text('from') !== undefined || output === 'values';
    const pinned = isAsked
      ? await withOrigin(context, ({ origin }) => pinImages(images, origin, clientVersion))
      : [];
    const digestOf = new Map(pinned.map((image) => [image.component, image.digest]));
    return {
      kind: 'ImageList',
      data: {
        items: images.map(({ component, reference, valuePath }) => {
          const digest = digestOf.get(component);
          return {
            component,
            image: reference,
            ...(digest === undefined ? {} : { digest }),
            value: valuePath,
          };
        }),
      },
      text: (view) =>
        view.table({
          head: ['COMPONENT', 'IMAGE', ...(isAsked ? ['DIGEST'] : [])],
          rows: images.map(({ component, reference }) => [
            component,
            reference,
            ...(isAsked ? [digestOf.get(component) ?? ''] : []),
          ]),
        }),
      formats: { values: () => toYaml(pinnedValues(pinned)) },
    };
  },
};

/** `meshctl images save FILE`. */
export const imagesSaveCommand: CommandDefinition = {
  description:
    'Saves the images of an installation into one archive, for a cluster that reaches no registry: an OCI layout, and with a single --platform also what "docker load" reads. A broken transfer goes on where it ended; the file appears when it is whole.',
  args: [{ name: '<archive>', description: 'file to write' }],
  options: [...valuesOptions, fromOption, platformOption, toolOption, ...registryOptions],
  formats: copyFormats,
  examples: [
    'meshctl images save mesh.tar --hub registry.example.com/mesh',
    'meshctl images save mesh-arm64.tar --from images/layout --platform linux/arm64',
  ],
  timeoutMs: transferTimeoutMs,
  permissions: [],
  run: async (context) => {
    const [archive = ''] = context.args;
    const saved = await withOrigin(context, ({ origin }) =>
      saveImages(archive, {
        origin,
        names: wantedNames(context.options),
        platforms: platformsOf(context.options),
        reporter: context.progress,
        signal: context.signal,
      }),
    );
    return {
      kind: 'ImagesSaved',
      data: { archive, images: saved },
      text: (view) => copiedText(view, saved),
      formats: { values: () => valuesDocument(context.options, saved) },
    };
  },
};

/** `meshctl images push`. */
export const imagesPushCommand: CommandDefinition = {
  description:
    'Pushes the images of an installation to the registry that --hub names, with the credentials docker or podman have stored for it. What is there already is not sent; a tag changes when its image is whole, so an interrupted push is simply repeated. -o values prints values for "install -f" that pin what was pushed.',
  options: [
    ...valuesOptions,
    { ...fromOption, description: 'archive, folder with an OCI layout, or hub to take the images from' },
    platformOption,
    toolOption,
    ...registryOptions,
  ],
  formats: copyFormats,
  examples: [
    'meshctl images push --from mesh.tar --hub registry.example.com/mesh',
    'meshctl images push --from images/layout --hub registry.example.com/mesh -o values > images.yaml',
  ],
  timeoutMs: transferTimeoutMs,
  permissions: [],
  run: async (context) => {
    const { options } = context;
    if (options.text('from') === undefined)
      throw new MeshError('MESH0102', 'nothing says which images to push', {
        hint: 'Name an archive, a folder with an OCI layout, or another hub: --from mesh.tar',
      });
    const pushed = await withOrigin(context, ({ origin, registries }) =>
      pushImages(registries, {
        origin,
        names: wantedNames(options),
        platforms: platformsOf(options),
        reporter: context.progress,
        signal: context.signal,
      }),
    );
    return {
      kind: 'ImagesPushed',
      data: {
        images: pushed.map((image) => ({ ...image, pinned: `${image.name}@${image.digest}` })),
      },
      text: (view) => copiedText(view, pushed),
      formats: { values: () => valuesDocument(options, pushed) },
    };
  },
};

function copiedText(view: TextView, images: readonly CopiedImage[]): string {
  return view.table({
    head: ['IMAGE', 'DIGEST', 'PLATFORMS'],
    rows: images.map(({ name, digest, platforms }) => [name, digest, platforms.join(', ')]),
    optional: ['PLATFORMS'],
  });
}
