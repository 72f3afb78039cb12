import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { storedCredentials } from '#base/oci/registry/credentials.js';
import { temporaryFolder } from '../../../harness/temporary-folder.js';

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const ada = { kind: 'password', username: 'ada', password: 'a:b' };

/** Looks a registry up in a docker configuration. */
async function find(config: unknown, registry: string, repository = 'shop/app'): Promise<unknown> {
  const folder = await temporaryFolder('docker-config-');
  writeFileSync(join(folder, 'config.json'), typeof config === 'string' ? config : JSON.stringify(config));
  return storedCredentials({ DOCKER_CONFIG: folder, HOME: folder })(registry, repository);
}

test.each([
  ['by host and port', { 'r.test:5000': { auth: base64('ada:a:b') } }, 'r.test:5000', ada],
  ['as older files have it', { 'https://r.test/v1/': { auth: base64('ada:a:b\0\0') } }, 'r.test', ada],
  ['Docker Hub', { 'https://index.docker.io/v1/': { auth: base64('ada:a:b') } }, 'docker.io', ada],
  ['user and password in the open', { 'r.test': { username: 'ada', password: 'a:b' } }, 'r.test', ada],
  ['a token', { 'r.test': { identitytoken: 't' } }, 'r.test', { kind: 'identity token', token: 't' }],
  ['another host', { 'r.test': { auth: base64('ada:x') } }, 'r.test:5000', undefined],
  ['an entry for a helper', { 'r.test': {} }, 'r.test', undefined],
])('auths: %s', async (_, auths, registry, expected) => {
  expect(await find({ auths }, registry)).toEqual(expected);
});

test('of entries for parts of a registry the most specific counts', async () => {
  const auths = { 'r.test': { auth: base64('x:x') }, 'r.test/shop': { auth: base64('ada:a:b') } };
  expect(await find({ auths }, 'r.test')).toEqual(ada);
  expect(await find({ auths }, 'r.test', 'other/app')).toMatchObject({ username: 'x' });
});

test('without a file there are none', async () => {
  const folder = await temporaryFolder('docker-config-');
  expect(await storedCredentials({ HOME: folder })('r.test', 'a')).toBeUndefined();
});

test.each([
  ['no JSON', '{'],
  ['no object', '[]'],
  ['no user', { auths: { 'r.test': { auth: base64('nothing') } } }],
  ['a helper that is not installed', { credHelpers: { 'r.test': 'no-such-helper' } }],
  ['a helper that is a path', { credHelpers: { 'r.test': '../../bin/sh' } }],
])('refused: %s', async (_, config) => {
  await expect(find(config, 'r.test')).rejects.toMatchObject({ code: 'MESH1210' });
});
