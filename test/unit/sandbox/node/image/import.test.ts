import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { compressionOf, decompressor } from '#base/oci/archive/compression.js';
import { importArchive, type ImportOptions } from '#sandbox/node/image/import/index.js';
import { LoadedImages } from '#sandbox/node/image/loaded-images.js';
import { pruneImages } from '#sandbox/node/image/store/prune.js';
import {
  addIndex,
  addManifest,
  addNestedIndex,
  archiveOf,
  dockerArchive,
  type ImageParts,
  ociLayout,
  sha256,
  type TarEntry,
  tarOf,
} from '../../../../harness/image-archive.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'image-import-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const store = (): string => join(folder, 'store');
const images = (): LoadedImages => new LoadedImages({ folder: store(), nodeFolder: store() });

function load(archive: Buffer, o: Partial<ImportOptions> = {}) {
  const path = join(folder, 'image.tar');
  writeFileSync(path, archive);
  return importArchive(path, store(), { signal: AbortSignal.timeout(10_000), ...o });
}

async function oneLayer(...entries: TarEntry[]): Promise<ImageParts> {
  return { name: 'shop/app:1', layers: [await tarOf(entries)] };
}

/** A path below the root file system of a loaded image. */
function inRootfs(path: string, reference = 'shop/app:1'): string {
  const source = images().find(reference)?.rootfs;
  if (source?.kind !== 'folder') throw new Error(`${reference} is not loaded`);
  return join(source.nodePath, path);
}

/** Nothing may have become visible: no name, no image, no rest of the attempt. */
function expectNothingLoaded(): void {
  expect(images().list()).toEqual([]);
  expect(readdirSync(join(store(), 'staging'))).toEqual([]);
}

const whole: ImageParts['config'] = {
  Entrypoint: ['/app'],
  Cmd: ['serve'],
  Env: ['A=1', 'B=x=y'],
  User: 'web:staff',
  WorkingDir: '/srv',
  Volumes: { '/data': {} },
  StopSignal: 'SIGQUIT',
};

describe.each([
  ['an OCI layout', ociLayout],
  ['a docker archive', dockerArchive],
])('%s', (kind, make) => {
  test('is loaded with its configuration and its files', async () => {
    const image = { ...(await oneLayer({ name: 'app', content: 'program', mode: 0o4711 })), config: whole };
    const [loaded] = await load(await archiveOf(make([image])));
    expect(loaded).toMatchObject({ references: ['docker.io/shop/app:1'], layerCount: 1, wasPresent: false });
    const found = images().find('shop/app:1');
    expect(found?.config).toEqual({
      entrypoint: ['/app'],
      cmd: ['serve'],
      env: { A: '1', B: 'x=y' },
      user: 'web:staff',
      workingDir: '/srv',
      volumes: ['/data'],
      stopSignal: 'SIGQUIT',
    });
    expect(found?.id).toMatch(kind === 'an OCI layout' ? /^docker\.io\/shop\/app@sha256:/ : /^sha256:/);
    expect(readFileSync(inRootfs('app'), 'utf8')).toBe('program');
    expect(statSync(inRootfs('app')).mode & 0o7777).toBe(0o4711);
  });

  test('may be compressed as a whole', async () => {
    const archive = await archiveOf(make([await oneLayer({ name: 'x', content: '1' })]));
    await load(gzipSync(archive));
    expect(readFileSync(inRootfs('x'), 'utf8')).toBe('1');
  });

  test('is loaded again without doing it twice', async () => {
    const archive = await archiveOf(make([await oneLayer({ name: 'x', content: '1' })]));
    await load(archive);
    expect(await load(archive, { tag: 'other:2' })).toMatchObject([
      { wasPresent: true, references: ['docker.io/library/other:2'] },
    ]);
    expect(images().list()).toHaveLength(1);
    expect(images().find('shop/app:1')?.rootfs).toEqual(images().find('other:2')?.rootfs);
  });

  test('with a changed layer is refused', async () => {
    const files = make([await oneLayer({ name: 'x', content: '1' })]);
    for (const [name, bytes] of files)
      if (name.endsWith('layer.tar') || bytes[0] === 0x1f)
        files.set(name, Buffer.concat([bytes.subarray(0, -9), bytes.subarray(-9).fill(0x41)]));
    await expect(load(await archiveOf(files))).rejects.toMatchObject({ code: 'MESH0841' });
    expectNothingLoaded();
  });

  test('with a missing layer is refused', async () => {
    const files = make([await oneLayer({ name: 'x', content: '1' })]);
    for (const [name, bytes] of files)
      if (name.endsWith('layer.tar') || bytes[0] === 0x1f) files.delete(name);
    await expect(load(await archiveOf(files))).rejects.toMatchObject({ code: 'MESH0841' });
    expectNothingLoaded();
  });

  test('that ends early is refused', async () => {
    const archive = await archiveOf(make([await oneLayer({ name: 'x', content: 'y'.repeat(5_000) })]));
    for (const length of [100, 700, 1_500, archive.length - 3_000])
      await expect(load(archive.subarray(0, length))).rejects.toMatchObject({ code: /^MESH084[01]$/ });
    expectNothingLoaded();
  });

  test('needs a name', async () => {
    const { layers } = await oneLayer({ name: 'x' });
    const archive = await archiveOf(make([{ layers }]));
    await expect(load(archive)).rejects.toMatchObject({ code: 'MESH0844' });
    await load(archive, { tag: 'given' });
    expect(images().find('given:latest')).toBeDefined();
  });
});

describe('layers', () => {
  const lower = (): Promise<Buffer> =>
    tarOf([
      { name: 'etc/', type: 'directory', mode: 0o555 },
      { name: './etc/kept', content: 'kept' },
      { name: 'etc/gone', content: 'gone' },
      { name: 'old/a', content: 'a' },
      { name: 'link', type: 'symlink', linkname: '../../etc/kept' },
      { name: 'hard', type: 'link', linkname: 'etc/kept' },
      { name: 'dev/null', type: 'character-device', devmajor: 1, devminor: 3 },
      { name: 'pipe', type: 'fifo' },
    ]);

  test('are applied in order, with whiteouts, links and modes; devices are left out', async () => {
    const upper = await tarOf([
      { name: 'etc/.wh.gone' },
      { name: 'old/.wh..wh..opq' },
      { name: 'old/b', content: 'b' },
      { name: '.wh..wh.plnk', type: 'directory' },
    ]);
    await load(await archiveOf(ociLayout([{ name: 'shop/app:1', layers: [await lower(), upper] }])));
    expect(readdirSync(inRootfs('.')).sort()).toEqual(['etc', 'hard', 'link', 'old']);
    expect(readdirSync(inRootfs('etc'))).toEqual(['kept']);
    expect(readdirSync(inRootfs('old'))).toEqual(['b']);
    expect(readlinkSync(inRootfs('link'))).toBe('../../etc/kept');
    expect(statSync(inRootfs('hard')).ino).toBe(statSync(inRootfs('etc/kept')).ino);
    expect(statSync(inRootfs('etc')).mode & 0o077).toBe(0o055);
  });

  test('are kept once for all images that have them', async () => {
    const base = await lower();
    const own = await tarOf([{ name: 'own', content: 'x' }]);
    await load(
      await archiveOf(
        ociLayout([
          { name: 'shop/app:1', layers: [base] },
          { name: 'shop/app:2', layers: [base, own] },
        ]),
      ),
    );
    expect(readdirSync(join(store(), 'layers'))).toHaveLength(2);
    expect(statSync(inRootfs('etc/kept')).ino).toBe(statSync(inRootfs('etc/kept', 'shop/app:2')).ino);
  });

  test('may be plain', async () => {
    const image = { ...(await oneLayer({ name: 'x', content: '1' })), compress: (layer: Buffer) => layer };
    await load(await archiveOf(ociLayout([image])));
    expect(readFileSync(inRootfs('x'), 'utf8')).toBe('1');
  });

  test('may be compressed with zstd', async () => {
    // A tar of the file `x` with the word "compressed", from zstd -19.
    const zstd = Buffer.from(
      'KLUv/WQAJxUCAJQCeAAwNjQ0ADAwMDEyADYwNzAAIDAAAHVzdGFyICAAY29tcHJlc3NlZAAJIFC3DvKF93Qo/j1vLdhSUBgUwH5SbT7kqqg=',
      'base64',
    );
    const unpack = await decompressor(compressionOf(zstd));
    if (unpack === undefined) throw new Error('zstd was not recognized');
    unpack.end(zstd);
    const image: ImageParts = { name: 'shop/app:1', layers: [await buffer(unpack)], compress: () => zstd };
    await load(await archiveOf(ociLayout([image])));
    expect(readFileSync(inRootfs('x'), 'utf8')).toBe('compressed');
    const broken = await archiveOf(ociLayout([{ ...image, compress: () => zstd.subarray(0, 40) }]));
    const path = join(folder, 'broken.tar');
    writeFileSync(path, broken);
    const elsewhere = importArchive(path, join(folder, 'elsewhere'), { signal: AbortSignal.timeout(5_000) });
    await expect(elsewhere).rejects.toMatchObject({ code: 'MESH0841' });
  });

  test.each<[string, TarEntry[]]>([
    ['a path that leads out', [{ name: '../../outside', content: 'x' }]],
    ['a path with a way back in the middle', [{ name: 'a/../../outside', content: 'x' }]],
    ['a hard link to outside', [{ name: 'x', type: 'link', linkname: '../../../etc/passwd' }]],
    ['a hard link to nothing of its own', [{ name: 'x', type: 'link', linkname: '/etc/passwd' }]],
    ['a name that is too long', [{ name: 'n'.repeat(300), content: 'x' }]],
    ['a whiteout of the parent', [{ name: 'a/.wh...' }]],
  ])('with %s are refused', async (_, entries) => {
    await expect(load(await archiveOf(ociLayout([await oneLayer(...entries)])))).rejects.toMatchObject({
      code: 'MESH0841',
    });
    expectNothingLoaded();
    expect(readdirSync(folder).sort()).toEqual(['image.tar', 'store']);
  });

  test('cannot write through a link to the outside', async () => {
    const outside = join(folder, 'outside');
    const image = await oneLayer(
      { name: 'escape', type: 'symlink', linkname: folder },
      { name: 'escape/outside', content: 'x' },
      { name: '/absolute', content: 'y' },
    );
    await load(await archiveOf(ociLayout([image])));
    expect(() => statSync(outside)).toThrow('ENOENT');
    expect(readFileSync(inRootfs(join('.', outside)), 'utf8')).toBe('x');
    expect(readFileSync(inRootfs('absolute'), 'utf8')).toBe('y');
  });
});

describe('limits', () => {
  const limits = { archiveFiles: 100, layers: 10, entries: 20, bytes: 1_000_000 };

  test.each<[string, TarEntry[]]>([
    ['bytes that unpack to more than allowed', [{ name: 'zeros', content: Buffer.alloc(2_000_000) }]],
    ['more entries than allowed', Array.from({ length: 30 }, (_, i) => ({ name: `f${i}` }))],
  ])('%s end the import', async (_, entries) => {
    const archive = await archiveOf(ociLayout([await oneLayer(...entries)]));
    await expect(load(archive, { limits })).rejects.toMatchObject({ code: 'MESH0842' });
    await expect(load(gzipSync(archive), { limits })).rejects.toMatchObject({ code: 'MESH0842' });
    expectNothingLoaded();
  });

  test('a compressed archive that unpacks to more than allowed ends the import', async () => {
    await expect(load(gzipSync(Buffer.alloc(2_000_000)), { limits })).rejects.toMatchObject({
      code: 'MESH0842',
    });
    expectNothingLoaded();
  });

  test('so do too many files and too many layers', async () => {
    const many = await tarOf(Array.from({ length: 200 }, (_, i) => ({ name: `f${i}` })));
    await expect(load(many, { limits })).rejects.toMatchObject({ code: 'MESH0842' });
    const layer = await tarOf([]);
    const tall = { name: 'x:1', layers: Array.from({ length: 20 }, () => layer) };
    await expect(load(await archiveOf(ociLayout([tall])), { limits })).rejects.toMatchObject({
      code: 'MESH0842',
    });
    expectNothingLoaded();
  });

  test('an import can be broken off', async () => {
    const archive = await archiveOf(ociLayout([await oneLayer({ name: 'x', content: '1' })]));
    await expect(load(archive, { signal: AbortSignal.abort() })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expectNothingLoaded();
  });
});

describe('platforms', () => {
  const platform = { os: 'linux', architecture: 'arm64', variant: '' };

  async function multi(...architectures: string[]): Promise<Buffer> {
    const files = new Map<string, Buffer>();
    const manifests = [];
    for (const architecture of architectures) {
      const layers = [await tarOf([{ name: 'arch', content: architecture }])];
      manifests.push(addManifest(files, { layers, platform: { os: 'linux', architecture } }));
    }
    const index = addNestedIndex(files, manifests);
    addIndex(files, [{ ...index, annotations: { 'io.containerd.image.name': 'shop/app:1' } }]);
    return archiveOf(files);
  }

  test('of several the one of this machine is taken, and the index names it too', async () => {
    const archive = await multi('amd64', 'arm64', 's390x');
    await load(archive, { platform });
    expect(readFileSync(inRootfs('arch'), 'utf8')).toBe('arm64');
    const manifest = images().find('shop/app:1')?.id.split('@')[1];
    expect(images().find(`shop/app@${manifest}`)).toBeDefined();
    expect(images().find(`shop/app:whatever@${manifest}`)).toBeDefined();
    expect(images().find(`shop/other@${manifest}`)).toBeUndefined();
    expect(images().find(`shop/app@${sha256('nothing')}`)).toBeUndefined();
  });

  test('none of this machine is said, with what there is', async () => {
    await expect(load(await multi('amd64', 's390x'), { platform })).rejects.toMatchObject({
      code: 'MESH0843',
      evidence: expect.stringContaining('linux/amd64, linux/s390x') as string,
    });
    expectNothingLoaded();
  });

  test('blobs of other machines may be left out', async () => {
    const files = new Map<string, Buffer>();
    const own = addManifest(files, { layers: [await tarOf([{ name: 'x', content: '1' }])], platform });
    const other = addManifest(new Map(), { layers: [], platform: { os: 'linux', architecture: 'amd64' } });
    addIndex(
      files,
      [other, own].map((d) => ({ ...d, annotations: { 'org.opencontainers.image.ref.name': 'shop/app:1' } })),
    );
    await load(await archiveOf(files), { platform });
    expect(readFileSync(inRootfs('x'), 'utf8')).toBe('1');
  });
});

test('where the layout knows only a tag, the name comes from the list that docker adds', async () => {
  const image = await oneLayer({ name: 'x', content: '1' });
  const files = new Map<string, Buffer>();
  const manifest = addManifest(files, image);
  addIndex(files, [{ ...manifest, annotations: { 'org.opencontainers.image.ref.name': '1.2' } }]);
  await expect(load(await archiveOf(files))).rejects.toMatchObject({
    code: 'MESH0844',
    evidence: 'it says only 1.2',
  });
  for (const [name, bytes] of dockerArchive([{ ...image, name: 'shop/app:1.2' }])) files.set(name, bytes);
  const [loaded] = await load(await archiveOf(files));
  expect(loaded?.references).toEqual(['docker.io/shop/app:1.2']);
  expect(images().find('shop/app:1.2')?.id).toBe(`docker.io/shop/app@${manifest.digest}`);
});

test('an image that stands there by tag and by digest is one image', async () => {
  const files = new Map<string, Buffer>();
  const descriptor = addManifest(files, await oneLayer({ name: 'a', content: 'a' }));
  const names = ['docker.io/shop/app:1', `docker.io/shop/app@${descriptor.digest}`];
  const named = names.map((name) => ({ ...descriptor, annotations: { 'io.containerd.image.name': name } }));
  const loaded = await load(await archiveOf(addIndex(files, named)));
  expect(loaded.map(({ references }) => references)).toEqual([['docker.io/shop/app:1']]);
  for (const name of [...names, `shop/app:1@${descriptor.digest}`])
    expect(images().find(name)?.reference).toBe('docker.io/shop/app:1');
});

test('an unpacked layout is loaded as it lies there', async () => {
  const layout = join(folder, 'layout');
  for (const [name, bytes] of ociLayout([await oneLayer({ name: 'x', content: '1' })])) {
    mkdirSync(dirname(join(layout, name)), { recursive: true });
    writeFileSync(join(layout, name), bytes);
  }
  await importArchive(layout, store(), { signal: AbortSignal.timeout(10_000) });
  expect(readFileSync(inRootfs('x'), 'utf8')).toBe('1');
});

test('an archive of several images gets no single name', async () => {
  const two = [
    await oneLayer({ name: 'x', content: '1' }),
    { ...(await oneLayer({ name: 'x', content: '2' })), name: 'b:1' },
  ];
  const archive = await archiveOf(ociLayout(two));
  await expect(load(archive, { tag: 'one:1' })).rejects.toMatchObject({ code: 'MESH0844' });
  expect((await load(archive)).map((i) => i.references)).toEqual([
    ['docker.io/shop/app:1'],
    ['docker.io/library/b:1'],
  ]);
});

test('what is no image archive is called so', async () => {
  for (const bytes of [Buffer.from('hello'), Buffer.alloc(0), await tarOf([{ name: 'x' }])])
    await expect(load(bytes)).rejects.toMatchObject({ code: 'MESH0840' });
  await expect(
    importArchive(join(folder, 'missing'), store(), { signal: AbortSignal.timeout(1_000) }),
  ).rejects.toMatchObject({
    code: 'MESH0840',
  });
});

test('images that lost their name are removed by a prune, layers with them', async () => {
  await load(await archiveOf(ociLayout([await oneLayer({ name: 'x', content: '1' })])));
  await load(await archiveOf(ociLayout([await oneLayer({ name: 'x', content: '2' })])));
  expect(readFileSync(inRootfs('x'), 'utf8')).toBe('2');
  expect(readdirSync(join(store(), 'images'))).toHaveLength(2);
  await pruneImages(store());
  expect(readdirSync(join(store(), 'images'))).toHaveLength(1);
  expect(readdirSync(join(store(), 'layers'))).toHaveLength(1);
  expect(readFileSync(inRootfs('x'), 'utf8')).toBe('2');
});
