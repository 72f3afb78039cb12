import { Agent, request } from 'node:https';
import { parse } from 'yaml';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiUnderTest, eventually } from './api-under-test.js';

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown> & {
    readonly metadata?: Record<string, unknown>;
    readonly status?: Record<string, unknown>;
    readonly items?: readonly { readonly metadata: { readonly name: string } }[];
    readonly reason?: string;
    readonly message?: string;
  };
}

/** A bare HTTPS client: what is tested is the wire, not a client library. */
class Wire {
  readonly #agent: Agent;
  readonly #port: number;

  constructor(t: ApiUnderTest) {
    const config = parse(t.api.adminKubeconfig(t.server)) as {
      users: { user: Record<string, string> }[];
    };
    const user = config.users[0]?.user ?? {};
    const text = (key: string): string => Buffer.from(user[key] ?? '', 'base64').toString();
    this.#agent = new Agent({
      ca: t.api.caPem,
      cert: text('client-certificate-data'),
      key: text('client-key-data'),
      keepAlive: false,
    });
    this.#port = t.api.ports[0] ?? 0;
  }

  call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
    anonymousCa?: string,
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const agent = anonymousCa === undefined ? this.#agent : new Agent({ ca: anonymousCa });
      const payload = body === undefined ? undefined : typeof body === 'string' ? body : JSON.stringify(body);
      const outgoing = request(
        {
          agent,
          host: '127.0.0.1',
          port: this.#port,
          method,
          path,
          headers: {
            ...(payload === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(payload) }),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (c: Buffer) => chunks.push(c));
          response.on('end', () => {
            const raw = Buffer.concat(chunks).toString();
            try {
              // A watch answers with several documents; the first is enough here.
              resolve({
                status: response.statusCode ?? 0,
                body: JSON.parse(raw.split('\n')[0] ?? '') as Answer['body'],
              });
            } catch {
              resolve({ status: response.statusCode ?? 0, body: { message: raw } });
            }
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(payload);
    });
  }
}

const configMap = (name: string, extra: Record<string, unknown> = {}) => ({ metadata: { name, ...extra } });
const base = '/api/v1/namespaces/default';

describe('API semantics on the wire', () => {
  let t: ApiUnderTest;
  let wire: Wire;
  beforeAll(async () => {
    t = await ApiUnderTest.start();
    wire = new Wire(t);
    await eventually(async () => (await wire.call('GET', `${base}/serviceaccounts/default`)).status === 200);
  });
  afterAll(async () => {
    await t.stop();
  });

  test('lists page, select and continue', async () => {
    for (let i = 0; i < 7; i++) {
      const created = await wire.call(
        'POST',
        `${base}/configmaps`,
        configMap(`page-${i}`, { labels: { odd: String(i % 2) } }),
      );
      expect(created.status).toBe(201);
    }
    const first = await wire.call('GET', `${base}/configmaps?labelSelector=odd&limit=4`);
    expect(first.body.items).toHaveLength(4);
    // Not counted where a selector leaves objects out.
    expect(first.body.metadata?.remainingItemCount).toBeUndefined();
    const unfiltered = await wire.call('GET', `${base}/configmaps?limit=1`);
    expect(unfiltered.body.metadata?.remainingItemCount).toBeGreaterThanOrEqual(6);
    const rest = await wire.call(
      'GET',
      `${base}/configmaps?labelSelector=odd&limit=4&continue=${String(first.body.metadata?.continue)}`,
    );
    expect(rest.body.items?.map((o) => o.metadata.name)).toEqual(['page-4', 'page-5', 'page-6']);
    expect((await wire.call('GET', `${base}/configmaps?labelSelector=odd+in+(1)`)).body.items).toHaveLength(
      3,
    );
    expect(
      (await wire.call('GET', `${base}/configmaps?fieldSelector=metadata.name=page-2`)).body.items,
    ).toHaveLength(1);
    expect((await wire.call('GET', `${base}/configmaps?fieldSelector=spec.x=1`)).status).toBe(400);
  });

  test('stale updates conflict; too old watches are told to start over', async () => {
    const created = await wire.call('POST', `${base}/configmaps`, configMap('cas'));
    const stale = { ...created.body, data: { a: '1' } };
    expect((await wire.call('PUT', `${base}/configmaps/cas`, stale)).status).toBe(200);
    const conflict = await wire.call('PUT', `${base}/configmaps/cas`, { ...stale, data: { a: '2' } });
    expect(conflict).toMatchObject({ status: 409, body: { reason: 'Conflict' } });
    const old = await wire.call('GET', `${base}/configmaps?watch=1&resourceVersion=0000&timeoutSeconds=1`);
    expect(old.status).toBe(200);
    const first = await wire.call(
      'GET',
      `${base}/configmaps?watch=1&resourceVersion=1&fieldSelector=metadata.name=cas&timeoutSeconds=1`,
    );
    expect(first.body).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'cas' } } });
    const names = await wire.call('POST', `${base}/configmaps`, { metadata: { generateName: 'gen-' } });
    expect(names.body.metadata?.name).toMatch(/^gen-[a-z0-9]{5}$/);
  });

  test('tokens are bound to audience and pod, and die with the pod', async () => {
    const pod = await wire.call('POST', `${base}/pods`, {
      metadata: { name: 'bound' },
      spec: { containers: [{ name: 'c', image: 'x' }] },
    });
    const token = await wire.call('POST', `${base}/serviceaccounts/default/token`, {
      spec: {
        audiences: ['istio-ca'],
        expirationSeconds: 600,
        boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'bound', uid: pod.body.metadata?.uid },
      },
    });
    expect(token.status).toBe(201);
    const review = (audiences: string[]) =>
      wire.call('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
        spec: { token: token.body.status?.token, audiences },
      });
    expect((await review(['istio-ca'])).body.status).toMatchObject({
      authenticated: true,
      audiences: ['istio-ca'],
      user: {
        username: 'system:serviceaccount:default:default',
        extra: {
          'authentication.kubernetes.io/pod-name': ['bound'],
          'authentication.kubernetes.io/pod-uid': [pod.body.metadata?.uid],
        },
      },
    });
    expect((await review(['other'])).body.status?.authenticated).toBeUndefined();
    const bearer = { authorization: `Bearer ${String(token.body.status?.token)}` };
    expect((await wire.call('GET', '/api', undefined, bearer, t.api.caPem)).status).toBe(401);
    await wire.call('DELETE', `${base}/pods/bound`);
    expect((await review(['istio-ca'])).body.status?.authenticated).toBeUndefined();
  });

  test('strangers see health and nothing else', async () => {
    expect((await wire.call('GET', '/readyz', undefined, {}, t.api.caPem)).status).toBe(200);
    expect((await wire.call('GET', '/api/v1/secrets', undefined, {}, t.api.caPem)).body.message).toContain(
      'User "system:anonymous" cannot list',
    );
    const forged = { authorization: 'Bearer eyJhbGciOiJub25lIn0.e30.' };
    expect((await wire.call('GET', '/api', undefined, forged, t.api.caPem)).status).toBe(401);
  });

  test('orphan keeps the dependents, foreground waits for them', async () => {
    const make = async (name: string) => {
      const owner = await wire.call('POST', `${base}/configmaps`, configMap(`${name}-owner`));
      const ownerReferences = [
        {
          apiVersion: 'v1',
          kind: 'ConfigMap',
          name: `${name}-owner`,
          uid: owner.body.metadata?.uid,
          blockOwnerDeletion: true,
        },
      ];
      await wire.call(
        'POST',
        `${base}/configmaps`,
        configMap(`${name}-child`, { ownerReferences, finalizers: ['example.com/hold'] }),
      );
    };
    const isGone = async (name: string) =>
      (await wire.call('GET', `${base}/configmaps/${name}`)).status === 404;
    await make('o');
    await wire.call('DELETE', `${base}/configmaps/o-owner`, { propagationPolicy: 'Orphan' });
    await eventually(() => isGone('o-owner'));
    expect((await wire.call('GET', `${base}/configmaps/o-child`)).body.metadata).not.toHaveProperty(
      'ownerReferences',
    );
    await make('f');
    await wire.call('DELETE', `${base}/configmaps/f-owner`, { propagationPolicy: 'Foreground' });
    await eventually(
      async () =>
        (await wire.call('GET', `${base}/configmaps/f-child`)).body.metadata?.deletionTimestamp !== undefined,
    );
    expect(await isGone('f-owner')).toBe(false);
    await wire.call(
      'PATCH',
      `${base}/configmaps/f-child`,
      { metadata: { finalizers: null } },
      { 'content-type': 'application/merge-patch+json' },
    );
    await eventually(() => isGone('f-owner'));
    expect(await isGone('f-child')).toBe(true);
  });

  test('nonsense is answered with a Status and the server lives on', async () => {
    const bodies = [
      '',
      '{',
      '[]',
      'null',
      '"x"',
      '{"metadata":1}',
      '{"metadata":{"name":{}}}',
      '{"metadata":{"labels":[]}}',
      '{"metadata":{"name":"x","finalizers":[1]}}',
      '{"kind":"Pod","metadata":{"name":"x"}}',
      '{"data":{"a":{}},"metadata":{"name":"x"}}',
      `{"a":${'['.repeat(5000)}${']'.repeat(5000)}}`,
      '{"metadata":{"name":"x","managedFields":[{"fieldsV1":7}]},"data":7}',
    ]; // prettier-ignore
    for (const body of bodies) {
      const answer = await wire.call('POST', `${base}/configmaps`, body);
      expect({ body: body.slice(0, 40), status: answer.status }).toMatchObject({
        status: expect.toSatisfy((s: number) => s >= 400 && s < 500),
      });
      expect(answer.body.kind).toBe('Status');
    }
    const protobuf = await wire.call('POST', `${base}/configmaps`, 'k8s\0\x0a\xff\xff', {
      'content-type': 'application/vnd.kubernetes.protobuf',
    });
    expect(protobuf.status).toBe(400);
    for (const path of [
      '/api/v1/%zz',
      `${base}/pods?labelSelector=((`,
      `${base}/pods?limit=x`,
      `${base}/pods?continue=zzz`,
      '/apis/x/y/z',
      '/openapi/v3/nope',
    ]) {
      expect((await wire.call('GET', path)).status).toBeGreaterThanOrEqual(400);
    }
    expect(
      (await wire.call('POST', `${base}/configmaps`, `{"data":{"a":"${'x'.repeat(4 * 1024 * 1024)}"}}`))
        .status,
    ).toBe(413);
    expect((await wire.call('GET', '/readyz')).status).toBe(200);
  });
});
