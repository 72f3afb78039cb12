import { beforeAll, expect, test } from 'vitest';
import { isObject, type Json, type JsonObject, objectOf, objectsOf, stringOf } from '#sandbox/base/json.js';
import { decodeProtobufObject } from '#sandbox/apiserver/protobuf/decode-object.js';
import { encodeProtobufObject } from '#sandbox/apiserver/protobuf/encode-object.js';
import { describeServers, type RawAnswer } from './servers.js';

const protobuf = 'application/vnd.kubernetes.protobuf';

/** A value without what says nothing: nulls, empty objects and lists. The encoding has no place for these. */
function compact(value: Json | undefined): Json | undefined {
  if (Array.isArray(value)) {
    const items = (value as Json[]).map((v) => compact(v) ?? {});
    return items.length === 0 ? undefined : items;
  }
  if (!isObject(value)) return value ?? undefined;
  const entries = Object.entries(value).flatMap(([k, v]) => {
    const kept = compact(v);
    return kept === undefined ? [] : [[k, kept] as const];
  });
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

/** Objects that use what the encoding treats in its own way: times, quantities, JSON inside, values of two types. */
const manifests: readonly (readonly [path: string, object: JsonObject])[] = [
  [
    '/api/v1/namespaces/default/configmaps',
    {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      data: { a: '', b: 'ü' },
      binaryData: { raw: 'AP8=' },
      immutable: false,
    },
  ],
  [
    '/apis/apps/v1/namespaces/default/deployments',
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      spec: {
        replicas: 0,
        selector: { matchLabels: { app: 'a' } },
        strategy: { rollingUpdate: { maxSurge: '30%', maxUnavailable: 0 } },
        template: {
          metadata: { labels: { app: 'a' }, annotations: { empty: '' } },
          spec: {
            containers: [
              {
                name: 'c',
                image: 'i',
                resources: { requests: { cpu: '100m', memory: '1Gi' } },
                env: [{ name: 'E', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } }],
                livenessProbe: { httpGet: { port: 'web', path: '/' } },
                readinessProbe: { tcpSocket: { port: 8080 } },
                securityContext: { runAsUser: 0, privileged: false },
              },
            ],
            securityContext: { supplementalGroups: [1, 70_000], fsGroup: 0 },
            tolerations: [{ operator: 'Exists', effect: 'NoExecute', tolerationSeconds: -1 }],
            volumes: [
              { name: 'v', emptyDir: { sizeLimit: '1Mi' } },
              { name: 'p', projected: { sources: [{ secret: { name: 's', optional: false } }] } },
            ],
          },
        },
      },
    },
  ],
  [
    '/apis/coordination.k8s.io/v1/namespaces/default/leases',
    {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      spec: {
        holderIdentity: 'h',
        renewTime: '2026-01-02T03:04:05.000000Z',
        acquireTime: '2026-01-02T03:04:05.678900Z',
      },
    },
  ],
  [
    '/apis/apps/v1/namespaces/default/controllerrevisions',
    {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      revision: 1_234_567_890_123,
      data: { spec: { list: [1, null, 'x'] } },
    },
  ],
  [
    '/apis/flowcontrol.apiserver.k8s.io/v1/prioritylevelconfigurations',
    {
      apiVersion: 'flowcontrol.apiserver.k8s.io/v1',
      kind: 'PriorityLevelConfiguration',
      spec: {
        type: 'Limited',
        limited: { nominalConcurrencyShares: 0, limitResponse: { type: 'Reject' } },
      },
    },
  ],
  [
    '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
    {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'widgets.proto.example.com' },
      spec: {
        group: 'proto.example.com',
        scope: 'Namespaced',
        names: { plural: 'widgets', kind: 'Widget', listKind: 'WidgetList', singular: 'widget' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            subresources: {
              status: {},
              scale: { specReplicasPath: '.spec.n', statusReplicasPath: '.status.n' },
            },
            schema: {
              openAPIV3Schema: {
                type: 'object',
                properties: {
                  spec: {
                    type: 'object',
                    'x-kubernetes-validations': [{ rule: 'self.n >= 0', message: 'no' }],
                    properties: {
                      n: { type: 'integer', default: 0, minimum: 0, maximum: 1.5e3 },
                      mode: { type: 'string', enum: ['', 'a'], default: '' },
                      tags: { type: 'object', additionalProperties: { type: 'string' } },
                      list: {
                        type: 'array',
                        items: { type: 'object', properties: { e: { type: 'string' } } },
                      },
                      free: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true, nullable: true },
                      either: { 'x-kubernetes-int-or-string': true },
                    },
                  },
                  status: { type: 'object', properties: { n: { type: 'integer' } } },
                },
              },
            },
          },
        ],
      },
    },
  ],
];

describeServers('protobuf', (server) => {
  const send = (method: string, path: string, object: JsonObject): Promise<RawAnswer> =>
    server().raw({
      method,
      path,
      headers: { 'content-type': protobuf, accept: protobuf },
      body: encodeProtobufObject(object),
    });
  const get = (path: string, accept: string): Promise<RawAnswer> =>
    server().raw({ path, headers: { accept } });
  /** Reads an answer that must be in protobuf. */
  const read = (answer: RawAnswer): JsonObject => {
    expect(answer.headers['content-type']).toBe(protobuf);
    return decodeProtobufObject(answer.bytes);
  };

  beforeAll(async () => {
    for (const [path, object] of manifests) {
      const named = { ...object, metadata: { name: 'proto', ...objectOf(object.metadata) } };
      const answer = await send('POST', path, named);
      expect({ path, status: answer.status, said: answer.status === 201 || read(answer) }).toEqual({
        path,
        status: 201,
        said: true,
      });
    }
  });

  test.each(manifests)('%s takes and gives what was meant', async (path, object) => {
    const name = stringOf(objectOf(object.metadata).name) || 'proto';
    const json = (await get(`${path}/${name}`, 'application/json')).json<JsonObject>();
    const { metadata: _metadata, ...rest } = object;
    expect(json).toMatchObject(rest);
    expect(compact(read(await get(`${path}/${name}`, protobuf)))).toEqual(compact(json));
  });

  test('lists of all built-in kinds say the same as in JSON', async () => {
    const groups = (await get('/apis', 'application/json')).json<JsonObject>();
    const versions = objectsOf(groups.groups).flatMap((g) => objectsOf(g.versions));
    const folders = ['/api/v1', ...versions.map((v) => `/apis/${stringOf(v.groupVersion)}`)];
    let compared = 0;
    for (const folder of folders.filter((f) => !f.includes('proto.example.com'))) {
      const { resources } = (await get(folder, 'application/json')).json<JsonObject>();
      for (const r of objectsOf(resources)) {
        const isListed = Array.isArray(r.verbs) && (r.verbs as Json[]).includes('list');
        // Answered from the outside each time.
        if (!isListed || r.name === 'componentstatuses') continue;
        const path = `${folder}/${stringOf(r.name)}`;
        // Between the two readings controllers may write.
        await expect
          .poll(async () => {
            const json = (await get(path, 'application/json')).json<JsonObject>();
            const other = read(await get(path, protobuf));
            return { path, isSame: JSON.stringify(sorted(json)) === JSON.stringify(sorted(other)) };
          })
          .toEqual({ path, isSame: true });
        compared++;
      }
    }
    expect(compared).toBeGreaterThan(40);
  });

  test('refusals and metadata come in protobuf too, custom resources and tables do not', async () => {
    const missing = await get('/api/v1/namespaces/default/pods/none', protobuf);
    expect(missing.status).toBe(404);
    expect(read(missing)).toMatchObject({ kind: 'Status', reason: 'NotFound', details: { name: 'none' } });
    const custom = '/apis/proto.example.com/v1/namespaces/default/widgets';
    await expect.poll(async () => (await get(custom, 'application/json')).status).toBe(200);
    expect((await get(custom, protobuf)).status).toBe(406);
    expect((await get(custom, `${protobuf},application/json`)).headers['content-type']).toBe(
      'application/json',
    );
    const metadata = `${protobuf};as=PartialObjectMetadataList;v=v1;g=meta.k8s.io`;
    expect(read(await get('/api/v1/namespaces/default/configmaps', metadata))).toMatchObject({
      kind: 'PartialObjectMetadataList',
      items: expect.arrayContaining([
        expect.objectContaining({ metadata: expect.anything() as unknown }),
      ]) as unknown,
    });
    const table = `${protobuf};as=Table;v=v1;g=meta.k8s.io`;
    expect((await get('/api/v1/namespaces/default/configmaps', table)).status).toBe(406);
  });

  test('watches are streams of events with their length in front', async () => {
    const path = '/api/v1/namespaces/default/configmaps?fieldSelector=metadata.name=proto';
    const answer = await get(`${path}&watch=1&resourceVersion=0&timeoutSeconds=1`, protobuf);
    expect(answer.headers['content-type']).toBe(`${protobuf};stream=watch`);
    const length = answer.bytes.readUInt32BE(0);
    const event = answer.bytes.subarray(4, 4 + length);
    expect(event.subarray(2, 7).toString()).toBe('ADDED');
    // The object is a field in a field behind the type; it begins with the prefix of all encoded objects.
    const object = decodeProtobufObject(event.subarray(event.indexOf('k8s\0')));
    expect(object).toMatchObject({ kind: 'ConfigMap', data: { a: '', b: 'ü' }, binaryData: { raw: 'AP8=' } });
    expect(answer.bytes.length).toBe(4 + length);
  });
});

/** Compacted, with keys in order. Items of lists in protobuf have no type, as in JSON. */
function sorted(value: Json | undefined): Json | undefined {
  const order = (v: Json | undefined): Json | undefined => {
    if (Array.isArray(v)) return (v as Json[]).map((x) => order(x) ?? null);
    if (!isObject(v)) return v;
    return Object.fromEntries(
      Object.entries(v)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([k, x]) => [k, order(x)]),
    );
  };
  return order(compact(value));
}
