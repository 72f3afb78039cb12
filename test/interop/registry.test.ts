import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { openArchiveSource } from '#base/oci/archive-source.js';
import { ArchiveSink } from '#base/oci/archive-sink.js';
import { copyImage, type ImageSink } from '#base/oci/copy-image.js';
import { storedCredentials } from '#base/oci/registry/credentials.js';
import { Registries } from '#base/oci/registry/registry.js';
import {
  addIndex,
  addManifest,
  addNestedIndex,
  archiveOf,
  dockerArchive,
  ociLayout,
  tarOf,
} from '../harness/image-archive.js';
import { command } from '../harness/meshctl.js';
import { registryUser, startBreakingProxy, startRegistry } from '../harness/registry.js';
import { startRegistryWithTokens } from '../harness/registry-tokens.js';
import { temporaryFolder } from '../harness/temporary-folder.js';
import { describeWith } from './programs.js';

const megabyte = 1_000_000;

let signal: AbortSignal;
beforeEach(() => {
  signal = AbortSignal.timeout(60_000);
});

function registries(o: { env?: NodeJS.ProcessEnv; ca?: string } = {}): Registries {
  return new Registries({
    credentials: storedCredentials({ HOME: '/nonexistent', ...o.env }),
    isPlain: false,
    ca: o.ca,
    signal,
  });
}

/** A layer that does not compress, so that transfers take as many bytes. */
async function layer(bytes = 1000): Promise<Buffer> {
  return tarOf([{ name: 'data', content: randomBytes(bytes) }]);
}

async function archiveFile(folder: string, bytes?: number): Promise<string> {
  const path = join(folder, 'image.tar');
  const layers = [await layer(bytes), await layer(10)];
  writeFileSync(path, await archiveOf(ociLayout([{ name: 'shop/app:1', layers }])));
  return path;
}

/** An index over two platforms, each with a layer of its own and one they share. */
async function twoPlatforms(folder: string): Promise<string> {
  const path = join(folder, 'image.tar');
  const files = new Map<string, Buffer>();
  const shared = await layer(20_000);
  const manifests = [];
  for (const architecture of ['amd64', 'arm64'])
    manifests.push(
      addManifest(files, { layers: [shared, await layer(100)], platform: { os: 'linux', architecture } }),
    );
  const index = addNestedIndex(files, manifests);
  addIndex(files, [{ ...index, annotations: { 'io.containerd.image.name': 'shop/app:1' } }]);
  writeFileSync(path, await archiveOf(files));
  return path;
}

async function push(archive: string, name: string, from: Registries): Promise<string> {
  const source = await openArchiveSource(archive, signal);
  try {
    const [image] = source.images;
    if (image === undefined) throw new Error('the archive is empty');
    return (await copyImage(image, from.sink([name])(name), { name, signal })).digest;
  } finally {
    await source.close();
    from.close();
  }
}

async function pull(name: string, path: string, from: Registries): Promise<void> {
  const sink = new ArchiveSink(path);
  try {
    await copyImage(await from.image(name), sink, { signal });
    await sink.close();
  } catch (error) {
    await sink.abandon();
    throw error;
  } finally {
    from.close();
  }
}

async function skopeo(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await command('skopeo', args);
  expect(exitCode, `skopeo ${args.join(' ')}: ${stderr}`).toBe(0);
  return stdout;
}

function dockerConfig(folder: string, config: object): NodeJS.ProcessEnv {
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  return { DOCKER_CONFIG: folder };
}

describeWith('images and docker-registry', { needs: ['docker-registry', 'skopeo'] }, () => {
  test('what is pushed is what skopeo and a pull find, with all platforms', async () => {
    const folder = await temporaryFolder('images-');
    const { host } = await startRegistry();
    const digest = await push(await twoPlatforms(folder), `${host}/shop/app:1`, registries());
    const raw = await skopeo('inspect', '--raw', '--tls-verify=false', `docker://${host}/shop/app:1`);
    expect(JSON.parse(raw)).toMatchObject({ manifests: [{ platform: { architecture: 'amd64' } }, {}] });
    const inspected = await skopeo(
      'inspect',
      '--tls-verify=false',
      '--override-arch=arm64',
      `docker://${host}/shop/app:1`,
    );
    expect(JSON.parse(inspected)).toMatchObject({ Digest: digest, Architecture: 'arm64' });

    const [one, two] = [join(folder, 'one.tar'), join(folder, 'two.tar')];
    await pull(`${host}/shop/app:1`, one, registries());
    await pull(`${host}/shop/app@${digest}`, two, registries());
    const { images } = await openArchiveSource(one, signal);
    expect(images.map(({ name, root }) => [name, root.digest])).toEqual([[`${host}/shop/app:1`, digest]]);
  });

  test('a saved image of one platform is read by skopeo as an OCI and as a docker archive', async () => {
    const folder = await temporaryFolder('images-');
    const source = await openArchiveSource(await twoPlatforms(folder), signal);
    const path = join(folder, 'arm64.tar');
    const sink = new ArchiveSink(path);
    const platforms = [{ os: 'linux', architecture: 'arm64', variant: '' }];
    for (const image of source.images) await copyImage(image, sink, { platforms, signal });
    await sink.close();
    await source.close();
    for (const kind of ['docker-archive', 'oci-archive']) {
      const found = await skopeo('inspect', '--config', `${kind}:${path}:docker.io/shop/app:1`);
      expect(JSON.parse(found)).toMatchObject({ architecture: 'arm64' });
    }
  });

  test('a docker archive has no manifests: a push makes them', async () => {
    const folder = await temporaryFolder('images-');
    const { host } = await startRegistry();
    const path = join(folder, 'docker.tar');
    writeFileSync(path, await archiveOf(dockerArchive([{ name: 'shop/app:1', layers: [await layer()] }])));
    await push(path, `${host}/shop/app:1`, registries());
    await skopeo(
      'copy',
      '--src-tls-verify=false',
      `docker://${host}/shop/app:1`,
      `dir:${join(folder, 'out')}`,
    );
    expect(readdirSync(join(folder, 'out'))).toContain('manifest.json');
  });

  test('a push over a connection that breaks is taken up again', async () => {
    const folder = await temporaryFolder('images-');
    const registry = await startRegistry();
    const archive = await archiveFile(folder, 8 * megabyte);
    const proxy = await startBreakingProxy(registry.port, { bytes: 3 * megabyte, direction: 'up', cuts: 3 });
    const digest = await push(archive, `${proxy.host}/shop/app:1`, registries());
    expect(proxy.cutCount()).toBe(3);
    const found = await skopeo('inspect', '--tls-verify=false', `docker://${registry.host}/shop/app:1`);
    expect(JSON.parse(found)).toMatchObject({ Digest: digest });
  });

  test('a push that breaks each time gives up, and no tag points at half an image', async () => {
    const folder = await temporaryFolder('images-');
    const registry = await startRegistry();
    const archive = await archiveFile(folder, 8 * megabyte);
    const proxy = await startBreakingProxy(registry.port, { bytes: 1000, direction: 'up', cuts: Infinity });
    await expect(push(archive, `${proxy.host}/shop/app:1`, registries())).rejects.toMatchObject({
      code: 'MESH1206',
    });
    await expect(registries().image(`${registry.host}/shop/app:1`)).rejects.toMatchObject({
      code: 'MESH1204',
    });
    await push(archive, `${registry.host}/shop/app:1`, registries());
    await expect(registries().image(`${registry.host}/shop/app:1`)).resolves.toMatchObject({});
  });

  test('a broken pull goes on where it ended; the file appears when it is whole', async () => {
    const folder = await temporaryFolder('images-');
    const registry = await startRegistry();
    await push(await archiveFile(folder, 8 * megabyte), `${registry.host}/shop/app:1`, registries());
    const path = join(folder, 'pulled.tar');
    const proxy = await startBreakingProxy(registry.port, {
      bytes: 3 * megabyte,
      direction: 'down',
      cuts: 2,
    });
    await pull(`${proxy.host}/shop/app:1`, path, registries());
    expect(proxy.cutCount()).toBe(2);
    await skopeo('inspect', '--config', `oci-archive:${path}:${proxy.host}/shop/app:1`);

    const dead = await startBreakingProxy(registry.port, { bytes: 1, direction: 'down', cuts: Infinity });
    const half = join(folder, 'half.tar');
    await expect(pull(`${dead.host}/shop/app:1`, half, registries())).rejects.toMatchObject({
      code: 'MESH1206',
    });
    expect(existsSync(half)).toBe(false);
    expect(existsSync(`${half}.partial`)).toBe(false);
  });

  test('layers that a repository of the registry has are mounted, not sent', async () => {
    const folder = await temporaryFolder('images-');
    const registry = await startRegistry();
    const source = await openArchiveSource(await archiveFile(folder, 2 * megabyte), signal);
    const names = ['one', 'two'].map((name) => `${registry.host}/shop/${name}:1`);
    const client = registries();
    const sinkOf = client.sink(names);
    let sentBytes = 0;
    for (const name of names) {
      const sink = sinkOf(name);
      const counting: ImageSink = {
        putBlob: (blob, content, onBytes) =>
          sink.putBlob(blob, content, (count) => {
            sentBytes += count;
            onBytes(count);
          }),
        putManifest: (descriptor, bytes) => sink.putManifest(descriptor, bytes),
        putName: (given, root) => sink.putName(given, root),
      };
      for (const image of source.images) await copyImage(image, counting, { name, signal });
    }
    client.close();
    await source.close();
    expect(sentBytes).toBeLessThan(3 * megabyte);
    await skopeo('inspect', '--tls-verify=false', `docker://${registry.host}/shop/two:1`);
  });

  test('a damaged blob of the registry is not used', async () => {
    const folder = await temporaryFolder('images-');
    const registry = await startRegistry();
    await push(await archiveFile(folder, megabyte), `${registry.host}/shop/app:1`, registries());
    for (const path of blobFiles(registry.folder)) {
      const bytes = readFileSync(path);
      if (bytes.length < megabyte) continue;
      bytes.writeUInt8(bytes.readUInt8(500) ^ 0xff, 500);
      writeFileSync(path, bytes);
    }
    const path = join(folder, 'damaged.tar');
    await expect(pull(`${registry.host}/shop/app:1`, path, registries())).rejects.toMatchObject({
      code: 'MESH1205',
    });
    expect(existsSync(path)).toBe(false);
  });

  test('docker logins are used: auths, helpers, and their failures', async () => {
    const folder = await temporaryFolder('images-');
    const { host } = await startRegistry({ hasLogin: true });
    const archive = await archiveFile(folder);
    const name = `${host}/shop/app:1`;
    const auth = (password: string): string =>
      Buffer.from(`${registryUser.name}:${password}`).toString('base64');
    await expect(push(archive, name, registries())).rejects.toMatchObject({ code: 'MESH1202' });
    const wrong = dockerConfig(folder, { auths: { [host]: { auth: auth('wrong') } } });
    await expect(push(archive, name, registries({ env: wrong }))).rejects.toMatchObject({ code: 'MESH1202' });
    const right = dockerConfig(folder, { auths: { [host]: { auth: auth(registryUser.password) } } });
    await push(archive, name, registries({ env: right }));

    const helper = dockerConfig(folder, { credHelpers: { [host]: 'test' } });
    const path = `${folder}/bin:${process.env['PATH'] ?? ''}`;
    const env = { ...helper, PATH: path };
    await expect(push(archive, name, registries({ env }))).rejects.toMatchObject({ code: 'MESH1210' });
    mkdirSync(join(folder, 'bin'));
    const answer = JSON.stringify({
      ServerURL: host,
      Username: registryUser.name,
      Secret: registryUser.password,
    });
    const script = `#!/bin/sh\n[ "$1" = get ] && [ "$(cat)" = "${host}" ] && echo '${answer}'\n`;
    writeFileSync(join(folder, 'bin/docker-credential-test'), script, { mode: 0o755 });
    await push(archive, name, registries({ env }));
    writeFileSync(join(folder, 'config.json'), '{');
    await expect(push(archive, name, registries({ env }))).rejects.toMatchObject({ code: 'MESH1210' });
  });

  test('token servers are asked for what a push needs, with the stored credentials', async () => {
    const folder = await temporaryFolder('images-');
    const { host, scopes } = await startRegistryWithTokens();
    const archive = await archiveFile(folder);
    const name = `${host}/shop/app:1`;
    await expect(push(archive, name, registries())).rejects.toMatchObject({ code: 'MESH1202' });
    const auth = Buffer.from(`${registryUser.name}:${registryUser.password}`).toString('base64');
    const env = dockerConfig(folder, { auths: { [host]: { auth } } });
    await push(archive, name, registries({ env }));
    expect(scopes.at(-1)).toEqual(['repository:shop/app:pull,push']);
    const token = dockerConfig(folder, { auths: { [host]: { identitytoken: registryUser.password } } });
    await pull(name, join(folder, 'pulled.tar'), registries({ env: token }));
    expect(scopes.at(-1)).toEqual(['repository:shop/app:pull']);
  });

  test('TLS: the authority of the registry has to be known', async () => {
    const folder = await temporaryFolder('images-');
    const registry = await startRegistry({ hasTls: true });
    const archive = await archiveFile(folder);
    const name = `${registry.host}/shop/app:1`;
    await expect(
      push(archive, name, registries({ ca: readFileSync(registry.caFile, 'utf8') })),
    ).resolves.toMatch(/^sha256:/);
    const other = await startRegistry({ hasTls: true });
    await expect(
      push(archive, name, registries({ ca: readFileSync(other.caFile, 'utf8') })),
    ).rejects.toMatchObject({ code: 'MESH1211' });
  });

  test('a registry that is not there is told at once', async () => {
    const folder = await temporaryFolder('images-');
    const archive = await archiveFile(folder);
    await expect(push(archive, '127.0.0.1:1/shop/app:1', registries())).rejects.toMatchObject({
      code: 'MESH1201',
    });
  });
});

describeWith('images and umoci', { needs: ['umoci'] }, () => {
  test('unpacks a saved archive', async () => {
    const folder = await temporaryFolder('images-');
    const source = await openArchiveSource(await archiveFile(folder), signal);
    const path = join(folder, 'saved.tar');
    const sink = new ArchiveSink(path);
    for (const image of source.images) await copyImage(image, sink, { signal });
    await sink.close();
    await source.close();
    mkdirSync(join(folder, 'layout'));
    await command('tar', ['-xf', path, '-C', join(folder, 'layout')]);
    const { exitCode, stderr } = await command('umoci', [
      'unpack',
      '--rootless',
      '--image',
      `${join(folder, 'layout')}:docker.io/shop/app:1`,
      join(folder, 'bundle'),
    ]);
    expect(exitCode, stderr).toBe(0);
    expect(readFileSync(join(folder, 'bundle/rootfs/data')).length).toBe(10);
  });
});

function blobFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('/data'))
    .map((name) => join(folder, name));
}
