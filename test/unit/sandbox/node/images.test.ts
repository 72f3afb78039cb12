import { readlink, symlink, writeFile, mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { BuiltinImages } from '#sandbox/node/image/builtin-images.js';
import { resolveInside } from '#sandbox/node/host/path-inside.js';
import { makeMountPoint } from '#sandbox/node/image/mount-point.js';
import { formatImageReference, parseImageReference } from '#base/oci/reference.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

const digest = `sha256:${'ab'.repeat(32)}`;

describe('image references', () => {
  test.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['meshctl/tool:1', 'docker.io/meshctl/tool:1'],
    ['docker.io/meshctl/tool', 'docker.io/meshctl/tool:latest'],
    ['localhost:5000/a/b:c', 'localhost:5000/a/b:c'],
    [`gcr.io/x/y@${digest}`, `gcr.io/x/y@${digest}`],
    [`x:1@${digest}`, `docker.io/library/x@${digest}`],
    ['index.docker.io/x', 'docker.io/library/x:latest'],
    ['a__b/c--d.e', 'docker.io/a__b/c--d.e:latest'],
  ])('%s is %s', (text, expected) => {
    const parsed = parseImageReference(text);
    expect(parsed && formatImageReference(parsed)).toBe(expected);
  });

  test.each([
    '',
    'UPPER/case',
    'a b',
    'a:tag with blank',
    '../x',
    'a//b',
    'a___b',
    'x@sha256:ab',
    `x@${digest}@${digest}`,
  ])('"%s" is none', (text) => {
    expect(parseImageReference(text)).toBeUndefined();
  });
});

describe('built-in images', () => {
  const images = new BuiltinImages({
    hub: 'meshctl',
    version: '9.9.9',
    images: { web: { httpd: ['httpd.js', '--foreground'], helper: ['helper.js'] } },
  });

  test.each([
    ['meshctl/web:anything', 'httpd'],
    ['docker.io/meshctl/web:0.1.0', 'httpd'],
    ['meshctl/tool', 'tool-entrypoint'],
  ])('%s starts %s', (reference, program) => {
    expect(images.find(reference)?.config.entrypoint).toEqual([program]);
  });

  test.each(['nginx', 'meshctl/unknown', 'other/tool', 'ghcr.io/meshctl/tool', 'meshctl/tool/x'])(
    '%s is not one of them',
    (reference) => {
      expect(images.find(reference)).toBeUndefined();
    },
  );
});

describe('mount points', () => {
  test('a link that leads out of the file system is followed inside it', async () => {
    const root = await temporaryFolder('mount-point-');
    await mkdir(join(root, 'run'));
    await mkdir(join(root, 'var'));
    await symlink('/run', join(root, 'var/run'));
    await symlink('../../../../etc', join(root, 'escape'));
    expect(await resolveInside(root, '/var/run/secrets')).toBe('/run/secrets');
    expect(await resolveInside(root, '/escape/passwd')).toBe('/etc/passwd');
    expect(await makeMountPoint(root, '/var/run/secrets/x', 'folder')).toBe('/run/secrets/x');
    expect((await stat(join(root, 'run/secrets'))).mode & 0o777).toBe(0o755);
    expect(await readlink(join(root, 'var/run'))).toBe('/run');
  });

  test('links in a circle are refused', async () => {
    const root = await temporaryFolder('mount-point-');
    await symlink('b', join(root, 'a'));
    await symlink('a', join(root, 'b'));
    await expect(resolveInside(root, '/a/x')).rejects.toThrow('too many symbolic links');
  });

  test('an existing file is left as it is', async () => {
    const root = await temporaryFolder('mount-point-');
    await writeFile(join(root, 'f'), 'content');
    await makeMountPoint(root, '/f', 'file');
    expect((await stat(join(root, 'f'))).size).toBe(7);
  });
});
