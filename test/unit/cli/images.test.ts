import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parse } from 'yaml';
import { addIndex, addManifest, addNestedIndex, archiveOf, tarOf } from '../../harness/image-archive.js';
import { runInProcess } from '../../harness/in-process.js';
import { temporaryFolder } from '../../harness/temporary-folder.js';

const names = ['controller', 'cni', 'ztunnel', 'waypoint'];
const path = process.env['PATH'];
let folder = '';
let archive = '';

beforeEach(async () => {
  folder = await temporaryFolder('cli-images-');
  archive = join(folder, 'mesh.tar');
  writeFileSync(archive, await meshArchive(names));
});
afterEach(() => {
  process.env['PATH'] = path;
});

/** An archive with images of the mesh for two platforms, named as the default hub has them. */
async function meshArchive(images: readonly string[], labels: Record<string, string> = {}): Promise<Buffer> {
  const files = new Map<string, Buffer>();
  const roots = [];
  for (const name of images) {
    const manifests = [];
    for (const architecture of ['amd64', 'arm64']) {
      const layers = [await tarOf([{ name, content: architecture }])];
      const config = { Labels: labels };
      manifests.push(addManifest(files, { layers, config, platform: { os: 'linux', architecture } }));
    }
    const annotations = { 'io.containerd.image.name': `docker.io/meshctl/${name}:1` };
    roots.push({ ...addNestedIndex(files, manifests), annotations });
  }
  return archiveOf(addIndex(files, roots));
}

const images = (...args: string[]) => runInProcess(['images', ...args, '--tag', '1']);

test('list: what an installation needs, without a cluster and without a registry', async () => {
  const { code, stdout } = await images('list', '--hub', 'r.test/mesh');
  expect(code).toBe(0);
  expect(stdout).toBe(
    [
      'COMPONENT    IMAGE',
      'controller   r.test/mesh/controller:1',
      'cni          r.test/mesh/cni:1',
      'ztunnel      r.test/mesh/ztunnel:1',
      'waypoint     r.test/mesh/waypoint:1',
      '',
    ].join('\n'),
  );
});

test('list: of components that are off nothing is needed', async () => {
  const { stdout } = await images('list', '--set', 'components.cni.enabled=false', '-o', 'json');
  const { kind, items } = JSON.parse(stdout) as { kind: string; items: { component: string }[] };
  expect(kind).toBe('ImageList');
  expect(items.map((i) => i.component)).toEqual(['controller', 'ztunnel', 'waypoint']);
});

test('list -o values: what pins an installation to an archive', async () => {
  const { code, stdout } = await images('list', '--from', archive, '--hub', 'r.test/mesh', '-o', 'values');
  expect(code).toBe(0);
  const pinned = join(folder, 'pinned.yaml');
  writeFileSync(pinned, stdout);
  const listed = await images('list', '-f', pinned, '-o', 'json');
  const { items } = JSON.parse(listed.stdout) as { items: { image: string }[] };
  expect(items).toHaveLength(names.length);
  for (const [i, { image }] of items.entries())
    expect(image).toMatch(new RegExp(`^r\\.test/mesh/${names[i]}:1@sha256:[0-9a-f]{64}$`));
});

test('list: an image of another version is told of, since the objects would not fit it', async () => {
  const other = join(folder, 'other.tar');
  writeFileSync(other, await meshArchive(names, { 'org.opencontainers.image.version': '9.8.7' }));
  const { code, stderr } = await images('list', '--from', other);
  expect(code).toBe(2);
  expect(stderr).toContain('error MESH0352: meshctl/controller:1 is of version 9.8.7');
  const nightly = join(folder, 'nightly.tar');
  writeFileSync(nightly, await meshArchive(names, { 'org.opencontainers.image.version': 'nightly' }));
  expect((await images('list', '--from', nightly)).code).toBe(0);
});

test('save: under the names of the installation, and what is saved can be saved again', async () => {
  const saved = join(folder, 'saved.tar');
  const first = await images('save', saved, '--from', archive, '--hub', 'r.test/mesh', '-o', 'json');
  expect(first.code, first.stderr).toBe(0);
  expect(JSON.parse(first.stdout)).toMatchObject({
    kind: 'ImagesSaved',
    images: names.map((name) => ({
      name: `r.test/mesh/${name}:1`,
      platforms: ['linux/amd64', 'linux/arm64'],
    })),
  });
  const again = join(folder, 'again.tar');
  expect((await images('save', again, '--from', saved, '--hub', 'r.test/mesh')).code).toBe(0);
  expect(readFileSync(again).equals(readFileSync(saved))).toBe(true);
});

test.each([
  [['save', 'out.tar', '--platform', 'linux/s390x'], 1, 'MESH1209', 'it is for linux/amd64, linux/arm64'],
  [['save', 'out.tar', '--platform', 'arm'], 2, 'MESH0102', 'os/architecture'],
  [['save', 'none/out.tar'], 1, 'MESH1212', 'ENOENT'],
  [['save', 'out.tar', '--set', 'tag=2'], 1, 'MESH0350', 'docker.io/meshctl/ztunnel:1'],
  [['save', 'out.tar', '--include-tool'], 1, 'MESH0350', 'does not hold meshctl/tool:1'],
  [['list', '--hub', 'https://r.test'], 2, 'MESH1200', 'without https://'],
  [['push', '--hub', '127.0.0.1:1/mesh'], 3, 'MESH1201', 'cannot be reached'],
  [['load'], 2, 'MESH0102', '--kind'],
  [['load', '--kind', 'a', '--k3d', 'b'], 2, 'MESH0102', 'only one'],
  [['load', '--sandbox', 'no-such'], 1, 'MESH0803', 'no-such'],
])('%j: exit code %d, %s', async (args, exitCode, errorCode, said) => {
  const tag = args.includes('tag=2') ? [] : ['--tag', '1'];
  const at = args.map((word) => (word.endsWith('out.tar') ? join(folder, word) : word));
  const { code, stdout, stderr } = await runInProcess(['images', ...at, '--from', archive, ...tag]);
  expect(stderr).toContain(errorCode);
  expect(stderr).toContain(said);
  expect(code).toBe(exitCode);
  expect(stdout).toBe('');
  expect(existsSync(join(folder, 'out.tar'))).toBe(false);
  expect(existsSync(join(folder, 'out.tar.partial'))).toBe(false);
});

test('push without a source is wrong usage', async () => {
  const { code, stderr } = await images('push', '--hub', '127.0.0.1:1/mesh');
  expect(code).toBe(2);
  expect(stderr).toContain('--from');
});

test('load: the program of the nodes gets one archive with the platform of the nodes', async () => {
  const taken = join(folder, 'taken.tar');
  standIn('ctr', `echo "$@" > ${folder}/args; for a; do :; done; cp "$a" ${taken}`);
  const args = ['load', '--containerd=/run/c.sock', '--from', archive, '--platform', 'linux/arm64'];
  const values = await images(...args, '-o', 'values');
  expect(values.stdout).toBe((await images('list', '--from', taken, '-o', 'values')).stdout);
  const { code, stdout, stderr } = await images(...args, '-o', 'yaml');
  expect(code, stderr).toBe(0);
  expect(parse(stdout)).toMatchObject({ kind: 'ImagesLoaded', target: { kind: 'containerd' } });
  expect(readFileSync(join(folder, 'args'), 'utf8')).toMatch(
    /^--address \/run\/c\.sock --namespace k8s\.io images import \S+\.tar$/m,
  );
  const listed = await images('list', '--from', taken);
  expect(listed.stdout).toContain('sha256:');
});

test('load: what the program of the nodes says is passed on', async () => {
  standIn('kind', 'echo "ERROR: no nodes found for cluster dev" >&2; exit 1');
  const { code, stderr } = await images('load', '--kind', 'dev', '--from', archive);
  expect(code).toBe(1);
  expect(stderr).toContain('MESH0351');
  expect(stderr).toContain('no nodes found for cluster dev');
});

/** A program of another project, as far as we call it. */
function standIn(name: string, script: string): void {
  writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(folder, name), 0o755);
  process.env['PATH'] = `${folder}:${path ?? ''}`;
}
