import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ArchiveSink } from '#base/oci/archive-sink.js';
import { openArchiveSource } from '#base/oci/archive-source.js';
import { copyImage } from '#base/oci/copy-image.js';
import { parsePlatform } from '#base/oci/platform.js';
import {
  addIndex,
  addManifest,
  addNestedIndex,
  archiveOf,
  type ImageParts,
  ociLayout,
  tarOf,
} from '../../../harness/image-archive.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

const signal = AbortSignal.timeout(20_000);

async function image(architecture: string): Promise<ImageParts> {
  const layers = [await tarOf([{ name: 'arch', content: architecture }])];
  return { layers, platform: { os: 'linux', architecture } };
}

/** Files of a layout with one image for two platforms, and an attestation about one of them. */
async function files(): Promise<Map<string, Buffer>> {
  const all = new Map<string, Buffer>();
  const manifests = [
    addManifest(all, await image('amd64')),
    addManifest(all, await image('arm64')),
    {
      ...addManifest(all, { layers: [], platform: { os: 'unknown', architecture: 'unknown' } }),
      annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
    },
  ];
  const index = addNestedIndex(all, manifests);
  return addIndex(all, [{ ...index, annotations: { 'io.containerd.image.name': 'shop/app:1' } }]);
}

async function copy(archive: Buffer, platforms?: readonly string[]) {
  const folder = await temporaryFolder('copy-image-');
  const [from, to] = [join(folder, 'from.tar'), join(folder, 'to.tar')];
  writeFileSync(from, archive);
  const source = await openArchiveSource(from, signal);
  const sink = new ArchiveSink(to);
  const wanted = platforms?.map((text) => parsePlatform(text) ?? { os: text, architecture: '', variant: '' });
  const copied = [];
  try {
    for (const each of source.images) copied.push(await copyImage(each, sink, { signal, platforms: wanted }));
    await sink.close();
  } finally {
    await sink.abandon();
    await source.close();
  }
  return { copied, bytes: readFileSync(to) };
}

test('whole: the digest stays, and copies of copies are the same bytes', async () => {
  const archive = await archiveOf(await files());
  const once = await copy(archive);
  expect(once.copied).toMatchObject([
    { name: 'docker.io/shop/app:1', platforms: ['linux/amd64', 'linux/arm64'] },
  ]);
  const twice = await copy(once.bytes);
  expect(twice.copied).toEqual(once.copied);
  expect(twice.bytes.equals(once.bytes)).toBe(true);
});

test('one platform: its manifest gets the name', async () => {
  const { copied } = await copy(await archiveOf(await files()), ['linux/arm64']);
  expect(copied).toMatchObject([{ platforms: ['linux/arm64'] }]);
});

test('two platforms of three: an index of these', async () => {
  const { copied } = await copy(await archiveOf(await files()), ['linux/arm64', 'linux/amd64']);
  expect(copied).toMatchObject([{ platforms: ['linux/arm64', 'linux/amd64'] }]);
});

test('a platform it is not for', async () => {
  await expect(copy(await archiveOf(await files()), ['linux/s390x'])).rejects.toMatchObject({
    code: 'MESH1209',
    evidence: 'it is for linux/amd64, linux/arm64',
  });
});

test('an image that is no index says in its configuration what it is for', async () => {
  const single = await archiveOf(ociLayout([{ ...(await image('arm64')), name: 'shop/app:1' }]));
  expect((await copy(single, ['linux/arm64'])).copied).toMatchObject([{ platforms: ['linux/arm64'] }]);
  await expect(copy(single, ['linux/amd64'])).rejects.toMatchObject({ code: 'MESH1209' });
});

test.each([
  ['a blob is missing', (name: string) => name.startsWith('blobs/'), undefined, 'MESH0841'],
  ['a blob is another', (name: string) => name.startsWith('blobs/'), Buffer.from('x'), 'MESH0841'],
])('damaged: %s', async (_, isDamaged, content, code) => {
  for (const name of (await files()).keys()) {
    if (!isDamaged(name)) continue;
    const all = await files();
    if (content === undefined) all.delete(name);
    else all.set(name, content);
    await expect(copy(await archiveOf(all))).rejects.toMatchObject({ code });
  }
});

test('a blob of the right size with other content', async () => {
  for (const [name, bytes] of await files()) {
    if (!name.startsWith('blobs/')) continue;
    const all = await files();
    const other = Buffer.from(bytes);
    other.writeUInt8(other.readUInt8(0) ^ 1, 0);
    all.set(name, other);
    await expect(copy(await archiveOf(all))).rejects.toMatchObject({
      code: expect.stringMatching(/^MESH(0841|1205)$/) as string,
    });
  }
});
