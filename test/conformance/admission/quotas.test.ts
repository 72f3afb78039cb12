import { beforeEach, expect, test } from 'vitest';
import type { JsonObject } from '../../../src/sandbox/apiserver/json.js';
import { eventually } from '../../harness/cluster.js';
import { describeServers, type RawAnswer } from '../servers.js';

describeServers('limit ranges', (server) => {
  let namespace: string;
  beforeEach(async () => {
    namespace = await server().namespace('limits');
  });

  const create = (plural: string, body: JsonObject): Promise<RawAnswer> =>
    server().raw({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/${plural}`,
      body: { apiVersion: 'v1', ...body },
    });
  const pod = (name: string, resources: JsonObject = {}): JsonObject => ({
    kind: 'Pod',
    metadata: { name },
    spec: { containers: [{ name: 'c', image: 'x', resources }] },
  });
  /** Creates a limit range and waits until the server's cache has it. */
  async function limit(item: JsonObject): Promise<JsonObject> {
    const made = await create('limitranges', {
      kind: 'LimitRange',
      metadata: { name: 'range' },
      spec: { limits: [item] },
    });
    expect(made.status, made.text).toBe(201);
    return made.json<{ spec: { limits: JsonObject[] } }>().spec.limits[0] ?? {};
  }

  test('defaults of the range and of the pods', async () => {
    const item = await limit({
      type: 'Container',
      max: { cpu: '2' },
      min: { cpu: '100m' },
      defaultRequest: { memory: '64Mi' },
    });
    expect(item).toMatchObject({
      default: { cpu: '2' },
      defaultRequest: { cpu: '2', memory: '64Mi' },
    });
    await eventually(
      async () => {
        const made = await create('pods', pod(`p${Date.now()}`));
        expect(made.json()).toMatchObject({
          metadata: {
            annotations: {
              'kubernetes.io/limit-ranger':
                'LimitRanger plugin set: cpu, memory request for container c; cpu limit for container c',
            },
          },
          spec: {
            containers: [{ resources: { requests: { cpu: '2', memory: '64Mi' }, limits: { cpu: '2' } } }],
          },
          status: { qosClass: 'Burstable' },
        });
      },
      { timeoutMs: 5_000 },
    );
  });

  test('bounds of containers and pods', async () => {
    await limit({
      type: 'Container',
      min: { cpu: '100m' },
      max: { cpu: '1', memory: '1Gi' },
      default: { cpu: '500m', memory: '512Mi' },
      defaultRequest: { cpu: '200m', memory: '128Mi' },
      maxLimitRequestRatio: { cpu: '4' },
    });
    const attempt = async (resources: JsonObject): Promise<string> => {
      const answer = await create('pods', pod('bounded', resources));
      expect(answer.json()).toMatchObject({ code: 403, reason: 'Forbidden' });
      return answer.json<{ message: string }>().message;
    };
    await eventually(
      async () => expect((await create('pods', pod('x', { limits: { cpu: '2' } }))).status).toBe(403),
      {
        timeoutMs: 5_000,
      },
    );
    expect(await attempt({ requests: { cpu: '50m' }, limits: { cpu: '100m' } })).toBe(
      'pods "bounded" is forbidden: minimum cpu usage per Container is 100m, but request is 50m',
    );
    expect(await attempt({ limits: { cpu: '1500m' } })).toContain(
      'maximum cpu usage per Container is 1, but limit is 1500m',
    );
    expect(await attempt({ requests: { cpu: '100m' }, limits: { cpu: '500m' } })).toBe(
      'pods "bounded" is forbidden: cpu max limit to request ratio per Container is 4, but provided ratio is 5.000000',
    );
  });

  test('bounds of claims', async () => {
    await limit({ type: 'PersistentVolumeClaim', min: { storage: '1Gi' }, max: { storage: '2Gi' } });
    const claim = (storage: string): Promise<RawAnswer> =>
      create('persistentvolumeclaims', {
        kind: 'PersistentVolumeClaim',
        metadata: { name: `c-${storage.toLowerCase()}` },
        spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
      });
    await eventually(
      async () =>
        expect((await claim('3Gi')).json()).toMatchObject({
          message:
            'persistentvolumeclaims "c-3gi" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi',
        }),
      { timeoutMs: 5_000 },
    );
    expect((await claim('512Mi')).json()).toMatchObject({
      message:
        'persistentvolumeclaims "c-512mi" is forbidden: minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 512Mi',
    });
    expect((await claim('1Gi')).status).toBe(201);
  });
});
