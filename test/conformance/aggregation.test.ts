import { afterAll, beforeAll, expect, test } from 'vitest';
import { type JsonObject, objectOf, objectsOf } from '#sandbox/base/json.js';
import { eventually } from '../harness/cluster.js';
import { ExtensionApiServer } from '../harness/extension-api-server.js';
import { describeServers, type RawAnswer, type RawRequest } from './servers.js';

const group = 'things.example.com';
const apiServices = '/apis/apiregistration.k8s.io/v1/apiservices';
const things = `/apis/${group}/v1/namespaces/default/things`;

describeServers('API servers behind this one', (server) => {
  let extension: ExtensionApiServer;
  const send = (method: string, path: string, body?: JsonObject, more: Partial<RawRequest> = {}) =>
    server().raw({ method, path, ...(body === undefined ? {} : { body }), ...more });
  const json = async (path: string, headers: Record<string, string> = {}): Promise<JsonObject> =>
    (await send('GET', path, undefined, { headers })).json<JsonObject>();
  const availableOf = async (name: string): Promise<JsonObject | undefined> =>
    objectsOf(objectOf((await json(`${apiServices}/${name}`)).status).conditions).find(
      (c) => c.type === 'Available',
    );
  /** Leads `version` of the group to a service. */
  const register = (version: string, service: string, spec: JsonObject = {}): Promise<RawAnswer> =>
    send('POST', apiServices, {
      apiVersion: 'apiregistration.k8s.io/v1',
      kind: 'APIService',
      metadata: { name: `${version}.${group}` },
      spec: {
        group,
        version,
        groupPriorityMinimum: 2000,
        versionPriority: 200,
        service: { namespace: 'default', name: service, port: extension.port },
        ...spec,
      },
    });

  beforeAll(async () => {
    extension = await ExtensionApiServer.start(group, ['things.default.svc']);
    // A service that is a name: there is no network of the cluster in these tests.
    await send('POST', '/api/v1/namespaces/default/services', {
      metadata: { name: 'things' },
      spec: { type: 'ExternalName', externalName: 'localhost' },
    });
    expect((await register('v1', 'things', { caBundle: extension.caBundle })).status).toBe(201);
    await eventually(
      async () =>
        expect(await availableOf(`v1.${group}`)).toMatchObject({
          status: 'True',
          reason: 'Passed',
          message: 'all checks passed',
        }),
      { timeoutMs: 20_000 },
    );
    await eventually(async () => expect((await send('GET', `${things}/a`)).status).toBe(200), {
      timeoutMs: 20_000,
    });
  });
  afterAll(() => extension.stop());

  test('are asked in the name of the user, and trusted with no credentials', async () => {
    const asked = objectOf((await json(`${things}/a?x=1`, { accept: 'application/cbor, */*' })).asked);
    expect(asked).toMatchObject({
      by: [expect.any(String)],
      groups: expect.arrayContaining(['system:masters']) as unknown,
      authorization: '',
      through: 'front-proxy-client',
      accept: 'application/cbor, */*',
      url: `${things}/a?x=1`,
    });
    const acting = await json(`${things}/a`, {
      'impersonate-user': 'jane',
      'impersonate-group': 'system:masters',
      'impersonate-extra-scopes': 'wide',
      'x-remote-user': 'mallory',
      'x-remote-group': 'evil',
    });
    const jane = objectOf(acting.asked);
    expect(jane).toMatchObject({ by: ['jane'], extra: ['wide'] });
    expect(jane.groups).not.toContain('evil');
  });

  test('are not asked what the user may not', async () => {
    const refused = await send('GET', `${things}/a`, undefined, {
      as: { kind: 'certificate', user: 'nobody' },
    });
    expect(refused.status).toBe(403);
    expect(refused.json()).toMatchObject({
      message: `things.${group} "a" is forbidden: User "nobody" cannot get resource "things" in API group "${group}" in the namespace "default"`,
    });
  });

  test('answer errors themselves', async () => {
    const answer = await send('GET', `/apis/${group}/v1/others`);
    expect([answer.status, answer.json<JsonObject>().reason]).toEqual([404, 'NotFound']);
  });

  test('are found by discovery', async () => {
    const groups = objectsOf((await json('/apis')).groups);
    expect(groups.find((g) => g.name === group)).toMatchObject({
      preferredVersion: { groupVersion: `${group}/v1`, version: 'v1' },
    });
    expect(await json(`/apis/${group}`)).toMatchObject({ kind: 'APIGroup', name: group });
    expect(objectsOf((await json(`/apis/${group}/v1`)).resources)[0]).toMatchObject({ name: 'things' });
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
    await eventually(
      async () => {
        const items = objectsOf((await json('/apis', { accept })).items);
        expect(items.find((i) => objectOf(i.metadata).name === group)).toMatchObject({
          versions: [
            {
              version: 'v1',
              freshness: 'Current',
              resources: [
                {
                  resource: 'things',
                  scope: 'Namespaced',
                  singularResource: 'thing',
                  responseKind: { kind: 'Thing' },
                  subresources: [{ subresource: 'status', verbs: ['get'] }],
                },
              ],
            },
          ],
        });
      },
      { timeoutMs: 20_000 },
    );
    const listed = await server().ok(['api-resources', '--api-group', group, '--no-headers']);
    expect(listed).toMatch(/^things\s+things\.example\.com\/v1\s+true\s+Thing/);
    expect(await server().ok(['get', 'things', 'a', '-o', 'jsonpath={.kind}'])).toBe('Thing');
  });

  test('describe themselves in the OpenAPI documents', async () => {
    const gv = `apis/${group}/v1`;
    await eventually(
      async () => expect(Object.keys(objectOf((await json('/openapi/v3')).paths))).toContain(gv),
      { timeoutMs: 30_000 },
    );
    expect(await json(`/openapi/v3/${gv}`)).toMatchObject({ info: { title: 'things' } });
    await eventually(
      async () => {
        const { definitions } = await json('/openapi/v2', { accept: 'application/json' });
        expect(objectOf(definitions)['things.Thing']).toMatchObject({ description: 'A thing.' });
        expect(Object.keys(objectOf(definitions))).toContain('io.k8s.api.core.v1.Pod');
      },
      { timeoutMs: 30_000 },
    );
  });

  test('that cannot be reached are said to be so', async () => {
    await register('v2', 'missing');
    await register('v3', 'things');
    await eventually(
      async () => {
        expect(await availableOf(`v2.${group}`)).toMatchObject({
          status: 'False',
          reason: 'ServiceNotFound',
          message: 'service/missing in "default" is not present',
        });
        // Its certificate is of an authority that nobody named.
        expect(await availableOf(`v3.${group}`)).toMatchObject({
          status: 'False',
          reason: 'FailedDiscoveryCheck',
        });
      },
      { timeoutMs: 20_000 },
    );
    const answer = await send('GET', `/apis/${group}/v2/namespaces/default/things`);
    expect([answer.status, answer.headers['content-type']]).toEqual([503, 'text/plain; charset=utf-8']);
    await send('DELETE', `${apiServices}/v2.${group}`);
    await send('DELETE', `${apiServices}/v3.${group}`);
    await eventually(
      async () => expect((await send('GET', `/apis/${group}/v2/namespaces/default/things`)).status).toBe(404),
      { timeoutMs: 20_000 },
    );
  });

  test('learn whom to trust from a ConfigMap', async () => {
    const { data } = await json(
      '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication',
    );
    expect(data).toMatchObject({
      'client-ca-file': expect.stringContaining('BEGIN CERTIFICATE') as unknown,
      'requestheader-allowed-names': '["front-proxy-client"]',
      'requestheader-client-ca-file': expect.stringContaining('BEGIN CERTIFICATE') as unknown,
      'requestheader-extra-headers-prefix': '["X-Remote-Extra-"]',
      'requestheader-group-headers': '["X-Remote-Group"]',
      'requestheader-username-headers': '["X-Remote-User"]',
    });
  });
});
