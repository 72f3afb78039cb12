import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readOnly, readOnlyIfPresent } from '../host/bwrap-flags.js';
import { meshctlFolder } from '../host/node-host.js';
import { hostProgramArgs, usrLinks } from '../host/node-rootfs.js';
import type { ContainerImage, ImageStore, ListedImage } from './image.js';
import { formatImageReference, parseImageReference } from './reference.js';

const meshctlProgram = (file: string, ...args: string[]): string =>
  `exec ${['/usr/local/bin/node', `/opt/meshctl/bin/${file}`, ...args].join(' ')} "$@"`;

/**
 * The tool image runs any other program it is given, so that `kubectl run x
 * --image=meshctl/tool -- sh -c ...` does what it does with every general image.
 */
const toolEntrypoint = [
  'case "$1" in',
  '  "" | -* | help | serve | curl | ws | grpc | tcp | load | dns | sleep) exec tool "$@" ;;',
  'esac',
  'command -v "$1" >/dev/null && exec "$@"',
  'exec tool "$@"',
].join('\n');

/** Image name -> programs in /usr/local/bin, as shell scripts; the first is the entrypoint. */
const images: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  controller: { meshd: meshctlProgram('meshd.js') },
  ztunnel: { ztunnel: meshctlProgram('ztunnel.js') },
  cni: { 'mesh-cni': meshctlProgram('mesh-cni.js') },
  waypoint: { waypoint: meshctlProgram('gateway.js') },
  tool: {
    'tool-entrypoint': toolEntrypoint,
    tool: meshctlProgram('tool.js'),
    curl: meshctlProgram('tool.js', 'curl'),
  },
};

/** What the host's programs look up in /etc, besides the folders {@link hostProgramArgs} brings. */
const networkNameFiles = ['/etc/ld.so.cache', '/etc/protocols', '/etc/services', '/etc/ethertypes'];

const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Writes, once per sandbox, the part of each built-in image that the host's /usr does not have. */
export async function writeBuiltinImages(folder: string): Promise<void> {
  for (const [image, programs] of Object.entries(images)) {
    const bin = join(folder, image, 'bin');
    await mkdir(bin, { recursive: true });
    await writeFile(join(bin, 'node'), ''); // the mount point of the Node.js binary
    for (const [name, script] of Object.entries(programs)) {
      await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
      await chmod(join(bin, name), 0o755);
    }
  }
}

/** The product's own images: the host's programs, Node.js and the package, all read-only. */
export class BuiltinImages implements ImageStore {
  readonly #hub: string;
  readonly #version: string;

  constructor({ hub, version }: { hub: string; version: string }) {
    this.#hub = hub;
    this.#version = version;
  }

  /** Any tag of `<hub>/<name>` is this version: the package holds exactly one. */
  find(reference: string): ContainerImage | undefined {
    const parsed = parseImageReference(reference);
    if (parsed === undefined || parsed.registry !== 'docker.io') return undefined;
    const [hub, name = '', ...rest] = parsed.repository.split('/');
    const programs = hub === this.#hub && rest.length === 0 ? images[name] : undefined;
    const [entrypoint] = Object.keys(programs ?? {});
    if (entrypoint === undefined) return undefined;
    return {
      reference: formatImageReference(parsed),
      id: `builtin://${this.#hub}/${name}@${this.#version}`,
      config: {
        entrypoint: [entrypoint],
        cmd: [],
        env: { PATH: searchPath },
        workingDir: '/',
        user: '',
        volumes: [],
        stopSignal: '',
      },
      rootfs: { kind: 'made', fill: fillRootfs },
      mountArgs: hostProgramArgs().concat(
        readOnly(`${meshctlFolder}/images/${name}`, '/usr/local'),
        readOnly(`${meshctlFolder}/node`, '/usr/local/bin/node'),
        readOnly(`${meshctlFolder}/package`, '/opt/meshctl'),
        networkNameFiles.flatMap((file) => readOnlyIfPresent(file)),
      ),
    };
  }

  /** What is built in never changes. */
  onChange(): void {
    return undefined;
  }

  /** Nothing of the node's disk is theirs: their programs are the host's. */
  list(): readonly ListedImage[] {
    const nameOf = (image: string): string => `docker.io/${this.#hub}/${image}:${this.#version}`;
    return Object.keys(images).map((image) => ({ names: [nameOf(image)], sizeBytes: 0 }));
  }
}

async function fillRootfs(folder: string): Promise<void> {
  for (const name of ['etc', 'root', 'run', 'var/log', 'var/lib', 'var/tmp', 'home', 'opt', 'srv', 'mnt'])
    await mkdir(join(folder, name), { recursive: true });
  await mkdir(join(folder, 'tmp'), { recursive: true });
  await chmod(join(folder, 'tmp'), 0o1777);
  await symlink('../run', join(folder, 'var/run'));
  for (const [name, target] of usrLinks()) await symlink(target, join(folder, name));
  await writeFile(
    join(folder, 'etc/passwd'),
    'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n',
  );
  await writeFile(join(folder, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n');
  await writeFile(join(folder, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nhosts: files dns\n');
}
