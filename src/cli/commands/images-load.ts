import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MeshError } from '#base/errors/mesh-error.js';
import { machinePlatform } from '#base/oci/platform.js';
import { saveImages } from '#mesh/install/images/move-images.js';
import { loadIntoNodes, type NodeTarget } from '#mesh/install/images/node-loaders.js';
import { sandboxLoad } from '#sandbox/launcher/index.js';
import type { CommandDefinition } from '../command.js';
import type { Options } from '../options.js';
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
import { valuesOptions } from './install-options.js';

type Target = NodeTarget | { readonly kind: 'sandbox'; readonly cluster: string };

/** `meshctl images load`. */
export const command: CommandDefinition = {
  description:
    'Brings the images of an installation into the nodes of a local cluster, which then needs no registry. -o values prints values for "install -f" that pin what was loaded. For containerd it is run on the node, as who may use its socket.',
  options: [
    { flags: '--kind <cluster>', description: 'nodes of a kind cluster, by the program kind' },
    { flags: '--k3d <cluster>', description: 'nodes of a k3d cluster, by the program k3d' },
    { flags: '--containerd [socket]', description: 'containerd of this machine, by the program ctr' },
    { flags: '--sandbox <name>', description: 'nodes of a sandbox', completes: 'sandbox' },
    ...valuesOptions,
    fromOption,
    { ...platformOption, description: 'platform of the nodes (default: that of this machine)' },
    toolOption,
    ...registryOptions,
  ],
  examples: [
    'meshctl images load --kind dev --from images/layout',
    'sudo meshctl images load --containerd --from mesh.tar',
    'meshctl images load --sandbox default --from images/layout --hub example.com/mesh',
  ],
  formats: copyFormats,
  timeoutMs: 1_800_000,
  permissions: [],
  run: async (context) => {
    const { options, progress, signal } = context;
    const target = targetOf(options);
    const folder = await mkdtemp(join(tmpdir(), 'meshctl-images-'));
    try {
      const archive = join(folder, 'images.tar');
      const images = await withOrigin(context, ({ origin }) =>
        saveImages(archive, {
          origin,
          names: wantedNames(options),
          platforms: platformsOf(options) ?? [machinePlatform()],
          reporter: progress,
          signal,
        }),
      );
      const step = progress.step(nameOf(target));
      try {
        if (target.kind === 'sandbox')
          await sandboxLoad({ name: target.cluster, archives: [archive], signal });
        else await loadIntoNodes(target, archive, { timeoutMs: context.timeoutMs, signal });
        step.succeed(`${images.length} images loaded`);
      } catch (error) {
        step.fail();
        throw error;
      }
      return {
        kind: 'ImagesLoaded',
        data: { target, images },
        text: () => images.map(({ name }) => name).join('\n'),
        formats: { values: () => valuesDocument(options, images) },
      };
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
};

function targetOf(options: Options): Target {
  const targets: Target[] = [];
  for (const kind of ['kind', 'k3d', 'sandbox'] as const) {
    const cluster = options.text(kind);
    if (cluster !== undefined) targets.push({ kind, cluster });
  }
  if (options.flag('containerd')) targets.push({ kind: 'containerd', address: options.text('containerd') });
  const [target, ...more] = targets;
  if (target !== undefined && more.length === 0) return target;
  throw new MeshError(
    'MESH0102',
    target === undefined ? 'nothing says where to load them' : 'only one place can be loaded at a time',
    {
      hint: 'Name one of --kind CLUSTER, --k3d CLUSTER, --containerd, --sandbox NAME.',
    },
  );
}

function nameOf(target: Target): string {
  return target.kind === 'containerd' ? 'containerd' : `${target.kind} ${target.cluster}`;
}
