import { beforeEach, expect, test } from 'vitest';
import type { JsonObject } from '#sandbox/base/json.js';
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

describeServers('resource quotas', (server) => {
  let namespace: string;
  beforeEach(async () => {
    namespace = await server().namespace('quotas');
  });

  const path = (plural: string): string => `/api/v1/namespaces/${namespace}/${plural}`;
  const create = (plural: string, body: JsonObject): Promise<RawAnswer> =>
    server().raw({ method: 'POST', path: path(plural), body: { apiVersion: 'v1', ...body } });
  const configMap = (name: string): Promise<RawAnswer> =>
    create('configmaps', { kind: 'ConfigMap', metadata: { name } });
  const pod = (
    name: string,
    resources: JsonObject = {},
    spec: JsonObject = {},
    query = '',
  ): Promise<RawAnswer> =>
    create(`pods${query}`, {
      kind: 'Pod',
      metadata: { name },
      spec: { containers: [{ name: 'c', image: 'x', resources }], ...spec },
    });
  const messageOf = (answer: RawAnswer): string => answer.json<{ message: string }>().message;

  /** Makes a quota and waits until it is counted. */
  async function quota(asked: JsonObject, spec: JsonObject = {}, used: JsonObject = {}): Promise<void> {
    // The limit on secrets tells when the server has taken notice of the quota.
    const isScoped = Object.keys(spec).length > 0;
    const hard = isScoped ? asked : { ...asked, 'count/secrets': '0' };
    const made = await create('resourcequotas', {
      kind: 'ResourceQuota',
      metadata: { name: 'q' },
      spec: { hard, ...spec },
    });
    expect(made.status, made.text).toBe(201);
    const zeros = Object.fromEntries(Object.keys(hard).map((k) => [k, '0']));
    await eventually(async () => expect((await status()).used).toEqual({ ...zeros, ...used }), {
      timeoutMs: 5_000,
    });
    const priorityClassName = 'system-node-critical';
    const probe = (): Promise<RawAnswer> =>
      isScoped
        ? pod('probe', {}, spec.scopes === undefined ? { priorityClassName } : {}, '?dryRun=All')
        : create('secrets?dryRun=All', { kind: 'Secret', metadata: { name: 'probe' } });
    await eventually(async () => expect(messageOf(await probe())).toContain('exceeded quota: q'), {
      timeoutMs: 5_000,
    });
  }

  const status = async (): Promise<{ hard?: JsonObject; used?: JsonObject }> =>
    (await server().raw({ path: `${path('resourcequotas')}/q` })).json<{ status: JsonObject }>().status;

  test('counts objects, however many come at once', async () => {
    await quota({ 'count/configmaps': '6', 'count/deployments.apps': '1' }, {}, { 'count/configmaps': '1' });
    const answers = await Promise.all(Array.from({ length: 12 }, (_, i) => configMap(`c${i}`)));
    expect(answers.filter((a) => a.status === 201)).toHaveLength(5);
    const refused = answers.find((a) => a.status === 403);
    expect(refused === undefined ? '' : messageOf(refused)).toMatch(
      /^configmaps "c\d+" is forbidden: exceeded quota: q, requested: count\/configmaps=1, used: count\/configmaps=6, limited: count\/configmaps=6$/,
    );
    await eventually(async () => expect((await status()).used).toMatchObject({ 'count/configmaps': '6' }), {
      timeoutMs: 5_000,
    });
    await server().raw({ method: 'DELETE', path: `${path('configmaps')}/kube-root-ca.crt` });
    for (const answer of answers.filter((a) => a.status === 201).slice(0, 2)) {
      const { metadata } = answer.json<{ metadata: { name: string } }>();
      await server().raw({ method: 'DELETE', path: `${path('configmaps')}/${metadata.name}` });
    }
    await eventually(async () => expect((await status()).used).toMatchObject({ 'count/configmaps': '4' }), {
      timeoutMs: 5_000,
    });
  });

  test('sums requests and limits of pods, which must name them', async () => {
    await quota({ 'requests.cpu': '1', 'limits.memory': '1Gi', pods: '10' });
    expect(messageOf(await pod('silent', { requests: { cpu: '100m' } }))).toBe(
      'pods "silent" is forbidden: failed quota: q: must specify limits.memory for: c',
    );
    expect(messageOf(await pod('mute'))).toBe(
      'pods "mute" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c',
    );
    const sized = { requests: { cpu: '600m' }, limits: { memory: '512Mi' } };
    expect((await pod('one', sized)).status).toBe(201);
    expect(messageOf(await pod('two', sized))).toBe(
      'pods "two" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1',
    );
    const more = { requests: { cpu: '100m' }, limits: { memory: '1Gi' } };
    expect(messageOf(await pod('three', more))).toBe(
      'pods "three" is forbidden: exceeded quota: q, requested: limits.memory=1Gi, used: limits.memory=512Mi, limited: limits.memory=1Gi',
    );
    await eventually(
      async () =>
        expect((await status()).used).toMatchObject({
          'requests.cpu': '600m',
          'limits.memory': '512Mi',
          pods: '1',
        }),
      { timeoutMs: 5_000 },
    );
  });

  test('applies to pods in its scopes only', async () => {
    await quota(
      { pods: '0' },
      {
        scopeSelector: {
          matchExpressions: [
            { scopeName: 'PriorityClass', operator: 'In', values: ['system-node-critical'] },
          ],
        },
      },
    );
    expect((await pod('plain')).status).toBe(201);
    expect(messageOf(await pod('critical', {}, { priorityClassName: 'system-node-critical' }))).toBe(
      'pods "critical" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0',
    );
  });

  test('limits best-effort and terminating pods', async () => {
    await quota({ pods: '0' }, { scopes: ['NotTerminating', 'BestEffort'] });
    expect((await pod('short', {}, { activeDeadlineSeconds: 5 })).status).toBe(201);
    expect((await pod('sized', { requests: { cpu: '1' } })).status).toBe(201);
    expect((await pod('best')).status).toBe(403);
  });

  test('limits node ports and load balancers', async () => {
    await quota({ 'services.loadbalancers': '0', 'services.nodeports': '1' });
    const service = (name: string, type: string, ports = [80]): Promise<RawAnswer> =>
      create('services', {
        kind: 'Service',
        metadata: { name },
        spec: { type, ports: ports.map((port) => ({ port, name: `p${port}` })) },
      });
    expect(messageOf(await service('lb', 'LoadBalancer'))).toBe(
      'services "lb" is forbidden: exceeded quota: q, requested: services.loadbalancers=1, used: services.loadbalancers=0, limited: services.loadbalancers=0',
    );
    expect((await service('np', 'NodePort')).status).toBe(201);
    expect(messageOf(await service('np2', 'NodePort'))).toContain(
      'exceeded quota: q, requested: services.nodeports=1',
    );
    const plain = await service('plain', 'ClusterIP');
    expect(plain.status).toBe(201);
    const object = plain.json<JsonObject & { spec: JsonObject }>();
    const published = await server().raw({
      method: 'PUT',
      path: `${path('services')}/plain`,
      body: { ...object, spec: { ...object.spec, type: 'NodePort' } },
    });
    expect(messageOf(published)).toContain('exceeded quota: q, requested: services.nodeports=1');
  });

  test('is checked itself', async () => {
    const attempt = async (spec: JsonObject): Promise<string> =>
      messageOf(await create('resourcequotas', { kind: 'ResourceQuota', metadata: { name: 'bad' }, spec }));
    expect(await attempt({ hard: { pods: '-1' } })).toBe(
      'ResourceQuota "bad" is invalid: spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0',
    );
    expect(await attempt({ hard: { pods: '1' }, scopes: ['BestEffort', 'NotBestEffort'] })).toContain(
      'conflicting scopes',
    );
  });
});
