import { connect as tlsConnect } from 'node:tls';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { request as httpsRequest, Agent } from 'node:https';
import { ApiUnderTest } from './api-under-test.js';

const base = '/api/v1/namespaces/default';

let t: ApiUnderTest;
let agent: Agent;
let port: number;

beforeAll(async () => {
  t = await ApiUnderTest.start();
  port = t.api.ports[0] ?? 0;
  const { users } = parse(t.api.adminKubeconfig(t.server)) as { users: { user: Record<string, string> }[] };
  const text = (key: string): string => Buffer.from(users[0]?.user[key] ?? '', 'base64').toString();
  agent = new Agent({
    ca: t.api.caPem,
    cert: text('client-certificate-data'),
    key: text('client-key-data'),
    keepAlive: true,
  });
  for (const [plural, body] of seeds) {
    const made = await send('POST', `${plural}`, JSON.stringify(body), 'application/json');
    expect(made.status).toBe(201);
  }
});
afterAll(async () => {
  agent.destroy();
  await t.stop();
});

const seeds: readonly (readonly [string, unknown])[] = [
  [`${base}/configmaps`, { metadata: { name: 'seed', labels: { a: 'b' } }, data: { k: 'v' } }],
  [`${base}/services`, { metadata: { name: 'seed' }, spec: { ports: [{ port: 80 }] } }],
  [
    '/apis/apps/v1/namespaces/default/deployments',
    {
      metadata: { name: 'seed' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    },
  ],
];
const objects = [
  `${base}/configmaps/seed`,
  `${base}/services/seed`,
  '/apis/apps/v1/namespaces/default/deployments/seed',
];
const collections = objects.map((path) => path.replace(/\/[^/]*$/, ''));

interface Answer {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

function send(method: string, path: string, body?: string | Buffer, type?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = {
      ...(type === undefined ? {} : { 'content-type': type }),
      ...(body === undefined ? {} : { 'content-length': Buffer.byteLength(body) }),
    };
    const outgoing = httpsRequest({ agent, host: '127.0.0.1', port, method, path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (c: Buffer) => chunks.push(c));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          type: String(response.headers['content-type'] ?? ''),
          text: Buffer.concat(chunks).toString(),
        }),
      );
    });
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

/** An answer of a sane server: a success, or a Status of the client's own fault. */
function assertSane(answer: Answer, what: unknown): void {
  const shown = JSON.stringify({ what, answer: { ...answer, text: answer.text.slice(0, 500) } });
  if (answer.status >= 500 && answer.status !== 501 && answer.status !== 503 && answer.status !== 504)
    throw new Error(shown);
  if (answer.status < 400 || answer.type.startsWith('text/plain')) return;
  const status = JSON.parse(answer.text) as Record<string, unknown>;
  if (status.kind !== 'Status' || status.status !== 'Failure' || status.code !== answer.status)
    throw new Error(shown);
  if (typeof status.message !== 'string' || status.message === '') throw new Error(shown);
}

/** JSON that often looks like what the server knows, so that it gets far. */
const keys = fc.oneof(
  fc.constantFrom(
    'metadata',
    'spec',
    'data',
    'status',
    'kind',
    'apiVersion',
    'name',
    'namespace',
    'labels',
    'annotations',
    'finalizers',
    'ownerReferences',
    'managedFields',
    'fieldsV1',
    'f:spec',
    'template',
    'containers',
    'ports',
    '$patch',
    '$setElementOrder/containers',
    '$deleteFromPrimitiveList/finalizers',
    '$retainKeys',
    '__proto__',
    'selector',
    'matchLabels',
    'matchExpressions',
    'replicas',
    'resourceVersion',
    'uid',
    'generateName',
    'creationTimestamp',
    'deletionTimestamp',
    'strategy',
    'env',
    'image',
    'constructor',
    '',
  ),
  fc.string({ maxLength: 12 }),
);
const { value: json } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.constantFrom<unknown>(null, true, 0, -1, 1e30, 'seed', 'delete', 'replace', '', 'v1', 'ConfigMap'),
    fc.string({ maxLength: 20 }),
    fc.integer(),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(keys, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  ),
}));
const runs = { numRuns: 150, endOnFailure: true } as const;

describe('whatever is sent, the answer is a Kubernetes Status and the server lives on', () => {
  test('bodies', async () => {
    const types = fc.constantFrom(
      'application/json',
      'application/yaml',
      'application/vnd.kubernetes.protobuf',
      'text/plain',
      '',
    );
    const bodies = fc.oneof(
      json.map((v) => JSON.stringify(v)),
      fc.string({ maxLength: 60 }),
      fc.uint8Array({ maxLength: 60 }).map((b) => Buffer.concat([Buffer.from('k8s\0'), Buffer.from(b)])),
    );
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...collections), types, bodies, async (path, type, body) => {
        assertSane(await send('POST', `${path}?dryRun=All`, body, type), { path, type, body: String(body) });
      }),
      runs,
    );
  });

  test('objects that are nearly right', async () => {
    const parts = fc.dictionary(keys, json, { maxKeys: 4, noNullPrototype: true });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...collections), parts, parts, async (path, metadata, spec) => {
        const body = JSON.stringify({ metadata: { name: 'fuzzed', ...metadata }, spec });
        assertSane(await send('POST', `${path}?dryRun=All`, body, 'application/json'), { path, body });
        assertSane(
          await send('PUT', `${path}/seed?dryRun=All`, body.replace('fuzzed', 'seed'), 'application/json'),
          { path, body },
        );
      }),
      runs,
    );
  });

  test('patches of every type, at objects and subresources', async () => {
    const operations = fc.array(
      fc.record(
        {
          op: fc.constantFrom('add', 'remove', 'replace', 'move', 'copy', 'test', 'nonsense'),
          path: fc.oneof(
            fc.constantFrom(
              '/metadata/name',
              '/metadata/labels',
              '/metadata',
              '',
              '/spec',
              '/data/k',
              '/spec/ports/0',
              '/spec/ports/-',
              '/__proto__/x',
              '/metadata/managedFields',
            ),
            fc.string({ maxLength: 10 }),
          ),
          from: fc.constantFrom('/metadata', '', '/spec/ports/0', '/data/k'),
          value: json,
        },
        { requiredKeys: [] },
      ),
      { maxLength: 4 },
    );
    const patches = fc.oneof(
      operations.map((v) => ['application/json-patch+json', JSON.stringify(v)] as const),
      fc
        .tuple(
          fc.constantFrom(
            'json-patch+json',
            'merge-patch+json',
            'strategic-merge-patch+json',
            'apply-patch+yaml',
          ),
          json,
        )
        .map(([type, v]) => [`application/${type}`, JSON.stringify(v)] as const),
      fc
        .tuple(
          fc.constantFrom('strategic-merge-patch+json', 'apply-patch+yaml'),
          fc.dictionary(keys, json, { maxKeys: 4, noNullPrototype: true }),
          json,
        )
        .map(([type, metadata, spec]) => {
          const kind = { apiVersion: 'apps/v1', kind: 'Deployment' };
          return [
            `application/${type}`,
            JSON.stringify({ ...kind, metadata: { ...metadata, name: 'seed' }, spec }),
          ] as const;
        }),
    );
    const subresources = fc.constantFrom('', '', '/status', '/scale');
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...objects),
        subresources,
        patches,
        async (path, subresource, [type, body]) => {
          const query = type.includes('apply') ? '?fieldManager=fuzz&dryRun=All&force=true' : '?dryRun=All';
          assertSane(await send('PATCH', `${path}${subresource}${query}`, body, type), {
            path,
            subresource,
            type,
            body,
          });
        },
      ),
      { ...runs, numRuns: 400 },
    );
  });

  test('selectors, options and tokens', async () => {
    const names = fc.constantFrom(
      'labelSelector',
      'fieldSelector',
      'limit',
      'continue',
      'resourceVersion',
      'resourceVersionMatch',
      'timeoutSeconds',
      'dryRun',
      'fieldManager',
      'fieldValidation',
      'pretty',
      'propagationPolicy',
      'gracePeriodSeconds',
      'timeout',
      'includeObject',
    );
    const forged = json.map((v) => Buffer.from(JSON.stringify(v)).toString('base64url'));
    const cursors = fc
      .tuple(fc.oneof(fc.integer(), fc.double()), fc.string({ maxLength: 10 }))
      .map(([rv, start]) =>
        Buffer.from(JSON.stringify({ v: 'meta.k8s.io/v1', rv, start })).toString('base64url'),
      );
    const selectors = fc
      .array(
        fc.constantFrom(
          'a',
          'b',
          '=',
          '==',
          '!=',
          '!',
          '(',
          ')',
          ',',
          ' in ',
          ' notin ',
          '>',
          '<',
          '1',
          '\\',
          'metadata.name',
        ),
        { maxLength: 8 },
      )
      .map((p) => p.join(''));
    const values = fc.oneof(
      selectors,
      forged,
      cursors,
      fc.string({ maxLength: 15 }),
      fc.integer().map(String),
    );
    const query = fc
      .array(fc.tuple(names, values), { maxLength: 4 })
      .map((pairs) => new URLSearchParams(pairs).toString());
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...collections, ...objects),
        fc.constantFrom('GET', 'DELETE'),
        query,
        async (path, method, q) => {
          const dry = method === 'DELETE' ? '&dryRun=All' : '';
          assertSane(await send(method, `${path}?${q}${dry}`), { path, method, q });
        },
      ),
      { ...runs, numRuns: 300 },
    );
  });

  test('paths and methods', async () => {
    const segments = fc.array(
      fc.oneof(
        fc.constantFrom(
          'api',
          'apis',
          'v1',
          'apps',
          'namespaces',
          'default',
          'pods',
          'seed',
          'watch',
          'status',
          'scale',
          'proxy',
          'exec',
          '%2f',
          '%',
          '..',
          '.',
          '',
          'log',
          'configmaps',
          'openapi',
          'v2',
          'healthz',
          'services',
          'nodes',
          'http:a:b',
        ),
        fc.string({ maxLength: 8 }).map(encodeURIComponent),
      ),
      { maxLength: 8 },
    );
    const methods = fc.constantFrom('GET', 'POST', 'PUT', 'PATCH', 'OPTIONS', 'HEAD');
    await fc.assert(
      fc.asyncProperty(segments, methods, async (parts, method) => {
        const answer = await send(method, `/${parts.join('/')}`);
        if (method !== 'HEAD') assertSane(answer, { parts, method });
      }),
      { ...runs, numRuns: 300 },
    );
  });

  test('broken HTTP and WebSocket frames', async () => {
    const heads = fc.constantFrom(
      'GET /api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1 HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
      'GET /api/v1/namespaces/default/pods/x/exec?command=ls HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n',
      'POST /api/v1/namespaces/default/configmaps HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n',
      'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
      '',
    );
    await fc.assert(
      fc.asyncProperty(
        heads,
        fc.uint8Array({ maxLength: 80 }),
        fc.constantFrom('h2', 'http/1.1'),
        async (head, bytes, protocol) => {
          await new Promise<void>((resolve) => {
            const socket = tlsConnect({
              host: '127.0.0.1',
              port,
              ca: t.api.caPem,
              cert: agent.options.cert,
              key: agent.options.key,
              ALPNProtocols: [protocol],
            });
            const done = (): void => {
              clearTimeout(timer);
              socket.destroy();
              resolve();
            };
            // Half a request is waited for by the server too.
            const timer = setTimeout(done, 60);
            socket.once('error', done).once('close', done).resume();
            socket.once('secureConnect', () =>
              socket.write(Buffer.concat([Buffer.from(head), Buffer.from(bytes)])),
            );
          });
        },
      ),
      { ...runs, numRuns: 60 },
    );
  });

  afterAll(async () => {
    // Nothing of it stuck: the objects are as they were, and the server answers.
    for (const path of objects) expect((await send('GET', path)).status).toBe(200);
    expect((await send('GET', '/readyz')).text).toBe('ok');
  });
});
