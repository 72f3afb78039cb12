import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readOnly, readOnlyIfPresent } from '../host/bwrap-flags.js';
import { meshctlFolder } from '../host/node-host.js';
import { hostProgramArgs, usrLinks } from '../host/node-rootfs.js';
import type { ContainerImage, ImageStore, ListedImage } from './image.js';
import { formatImageReference, parseImageReference } from '#base/oci/reference.js';

/**
 * The images that whoever starts a sandbox brings, as JSON: name below the hub -> programs in /usr/local/bin,
 * each a file in the package's `bin` with its first arguments; the first program is the entrypoint.
 */
export type BuiltinImageTable = Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;

function packageProgram([file = '', ...args]: readonly string[]): string {
  return `exec ${['/usr/local/bin/node', `/opt/meshctl/bin/${file}`, ...args].join(' ')} "$@"`;
}

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

/** The machine's curl where it has one: the tool's own knows a few flags only. */
const curl = [
  'for curl in /usr/bin/curl /bin/curl; do [ -x "$curl" ] && exec "$curl" "$@"; done',
  packageProgram(['tool.js', 'curl']),
].join('\n');

/** The sandbox's own image: its programs, as shell scripts. */
const toolImage: Readonly<Record<string, string>> = {
  'tool-entrypoint': toolEntrypoint,
  tool: ['[ "$1" = curl ] && { shift; exec curl "$@"; }', packageProgram(['tool.js'])].join('\n'),
  curl,
};

/** Image name -> programs in /usr/local/bin, as shell scripts; the first is the entrypoint. */
function scriptsOf(images: BuiltinImageTable): ReadonlyMap<string, Readonly<Record<string, string>>> {
  const scripts = Object.entries(images).map(([image, programs]) => {
    const all = Object.entries(programs).map(([name, program]) => [name, packageProgram(program)]);
    return [image, Object.fromEntries(all) as Record<string, string>] as const;
  });
  return new Map([...scripts, ['tool', toolImage]]);
}

/** The programs of one image in /usr/local/bin, as shell scripts without their first line; none for an unknown image. */
export function builtinScripts(image: string, images: BuiltinImageTable): Readonly<Record<string, string>> {
  return scriptsOf(images).get(image) ?? {};
}

/** What the host's programs look up in /etc, besides the folders {@link hostProgramArgs} brings. */
const networkNameFiles = ['/etc/ld.so.cache', '/etc/protocols', '/etc/services', '/etc/ethertypes'];

const searchPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Writes, once per sandbox, the part of each built-in image that the host's /usr does not have. */
export async function writeBuiltinImages(folder: string, images: BuiltinImageTable = {}): Promise<void> {
  for (const [image, programs] of scriptsOf(images)) {
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

  readonly #images: ReadonlyMap<string, Readonly<Record<string, string>>>;

  /** @param images those besides the tool image. */
  constructor({ hub, version, images = {} }: { hub: string; version: string; images?: BuiltinImageTable }) {
    this.#hub = hub;
    this.#version = version;
    this.#images = scriptsOf(images);
  }

  /** Any tag of `<hub>/<name>` is this version: the package holds exactly one. */
  find(reference: string): ContainerImage | undefined {
    const parsed = parseImageReference(reference);
    if (parsed === undefined || parsed.registry !== 'docker.io') return undefined;
    const [hub, name = '', ...rest] = parsed.repository.split('/');
    const programs = hub === this.#hub && rest.length === 0 ? this.#images.get(name) : undefined;
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
    return [...this.#images.keys()].map((image) => ({ names: [nameOf(image)], sizeBytes: 0 }));
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
