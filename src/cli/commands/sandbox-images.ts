import { sandboxImages, sandboxLoad } from '#sandbox/launcher/index.js';
import { MeshError } from '#base/errors/mesh-error.js';
import type { CommandDefinition } from '../command.js';
import { sandboxNameOf, sandboxNameOption } from './sandbox-options.js';

/** `meshctl sandbox load ARCHIVE...`. */
export const loadCommand: CommandDefinition = {
  description:
    'Loads images into a sandbox, which pulls from no registry: archives of `docker save`, `podman save` or OCI layouts, compressed or not. Pods that wait for such an image start at their next try.',
  args: [{ name: '<archive...>', description: 'files, or folders with an unpacked OCI layout' }],
  options: [
    sandboxNameOption,
    { flags: '--tag <reference>', description: 'name for the image of a single archive, instead of its own' },
  ],
  examples: [
    'docker save shop/frontend:1.2 -o frontend.tar && meshctl sandbox load frontend.tar',
    'meshctl sandbox load build/oci --tag shop/frontend:dev',
  ],
  timeoutMs: 600_000,
  permissions: [],
  run: async ({ args, options, signal, progress }) => {
    const tag = options.text('tag');
    if (tag !== undefined && args.length > 1)
      throw new MeshError('MESH0102', '--tag names one image, but there are several archives');
    const step = progress.step('images');
    try {
      const archives = await sandboxLoad({ name: sandboxNameOf(options), archives: args, tag, signal });
      const images = archives.flatMap((archive) => archive.images);
      step.succeed(`${images.length} loaded`);
      return {
        kind: 'SandboxImagesLoaded',
        data: { sandbox: sandboxNameOf(options), archives },
        text: () =>
          images
            .flatMap((image) =>
              image.references.map((name) => `${name}${image.wasPresent ? '  (was there already)' : ''}`),
            )
            .join('\n'),
      };
    } catch (error) {
      step.fail();
      throw error;
    }
  },
};

/** `meshctl sandbox images`. */
export const imagesCommand: CommandDefinition = {
  description: 'Lists the images that pods of a sandbox can use: those built in and those loaded.',
  options: [sandboxNameOption],
  examples: ['meshctl sandbox images'],
  permissions: [],
  run: async ({ options }) => {
    const sandbox = sandboxNameOf(options);
    const items = await sandboxImages({ name: sandbox });
    return {
      kind: 'SandboxImageList',
      data: { sandbox, items },
      text: (view) =>
        view.table({
          head: ['IMAGE', 'SOURCE', 'SIZE'],
          rows: items.flatMap((image) =>
            image.names.map((name) => [name, image.source, sizeText(image.sizeBytes)]),
          ),
        }),
    };
  },
};

function sizeText(bytes: number): string {
  const megabyte = 1_000_000;
  return bytes === 0 ? '-' : `${(bytes / megabyte).toFixed(1)} MB`;
}
