import { afterAll, beforeAll, expect, test } from 'vitest';
import { eventually } from '../harness/cluster.js';
import { WebhookServer } from '../harness/webhook-server.js';
import { type Answer, Requests } from './semantics-requests.js';
import { describeServers } from './servers.js';

const configurations = '/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations';
const writers = 8;
const each = Array.from({ length: writers }, (_, i) => i);

describeServers(
  'writes at the same time',
  (server, kind) => {
    let api: Requests;
    let hooks: WebhookServer;
    let namespace: string;
    let base: string;
    /** Where writes wait for each other: in the middle of their admission. */
    let arrive: () => Promise<void> = () => Promise.resolve();
    let isRefusing = false;
    let count = 0;

    beforeAll(async () => {
      api = new Requests(server());
      hooks = await WebhookServer.start();
      namespace = await server().namespace('races', { raced: 'yes' });
      base = `/api/v1/namespaces/${namespace}`;
      hooks.on('/gate', async () => {
        await arrive();
        return { response: { allowed: !isRefusing } };
      });
      const rule = { apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'], operations: ['*'] };
      const created = await api.post(configurations, {
        metadata: { name: 'races' },
        webhooks: [
          {
            name: 'races.example.com',
            admissionReviewVersions: ['v1'],
            sideEffects: 'None',
            timeoutSeconds: 30,
            rules: [rule],
            namespaceSelector: { matchLabels: { raced: 'yes' } },
            clientConfig: { url: `${hooks.url}/gate`, caBundle: hooks.caBundle },
          },
        ],
      });
      expect(created.status, created.text).toBe(201);
      await eventually(
        async () => {
          await api.post(`${base}/configmaps?dryRun=All`, { metadata: { name: 'probe' } });
          expect(hooks.requests('/gate')).not.toEqual([]);
        },
        { timeoutMs: 15_000 },
      );
    });
    afterAll(async () => {
      await api.delete(`${configurations}/races`);
      await hooks.stop();
    });

    const fresh = (): string => `o${count++}`;

    /** Sends requests so that none is past its admission before all are in it, or answered. */
    async function together(requests: readonly (() => Promise<Answer>)[]): Promise<Answer[]> {
      let open = (): void => undefined;
      const isOpen = new Promise<void>((resolve) => {
        open = resolve;
      });
      let left = requests.length;
      const leave = (): void => {
        left--;
        if (left === 0) open();
      };
      arrive = () => {
        leave();
        return isOpen;
      };
      try {
        return await Promise.all(
          requests.map(async (send) => {
            const answer = await send();
            // Until all are here only those are answered that were refused on their way.
            leave();
            return answer;
          }),
        );
      } finally {
        open();
        arrive = () => Promise.resolve();
      }
    }

    /** Sends a request, does something else while it is in its admission, and lets it go on. */
    async function meanwhile(send: () => Promise<Answer>, then: () => Promise<unknown>): Promise<Answer> {
      let open = (): void => undefined;
      const isOpen = new Promise<void>((resolve) => {
        open = resolve;
      });
      const arrived = new Promise<void>((resolve) => {
        arrive = () => {
          arrive = () => Promise.resolve();
          resolve();
          return isOpen;
        };
      });
      const answer = send();
      try {
        await Promise.race([arrived, answer]);
        await then();
      } finally {
        open();
      }
      return answer;
    }

    const statuses = (answers: readonly Answer[]): Record<number, number> => {
      const counts: Record<number, number> = {};
      for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1;
      return counts;
    };
    const service = (spec: object, name = fresh()): object => ({
      metadata: { name },
      spec: { ports: [{ port: 80 }], ...spec },
    });

    test.each([
      ['cluster IP', { clusterIP: '10.96.0.77' }, 'provided IP is already allocated'],
      ['IPv6 cluster IP', { clusterIP: 'fd00:10:96::77' }, 'provided IP is already allocated'],
      [
        'node port',
        { type: 'NodePort', ports: [{ port: 80, nodePort: 30_010 }] },
        'provided port is already allocated',
      ],
    ])('one %s goes to one service', async (_what, spec, problem) => {
      const answers = await together(each.map(() => () => api.post(`${base}/services`, service(spec))));
      expect(statuses(answers)).toEqual({ 201: 1, 422: writers - 1 });
      for (const { body } of answers.filter((a) => a.status === 422)) expect(body.message).toContain(problem);
    });

    test('services that ask for nothing get different addresses and ports', async () => {
      const balanced = {
        type: 'LoadBalancer',
        externalTrafficPolicy: 'Local',
        ipFamilyPolicy: 'RequireDualStack',
      };
      const answers = await together(each.map(() => () => api.post(`${base}/services`, service(balanced))));
      expect(statuses(answers)).toEqual({ 201: writers });
      const specs = answers.map(
        ({ body }) =>
          body.spec as { clusterIPs: string[]; healthCheckNodePort: number; ports: { nodePort: number }[] },
      );
      expect(new Set(specs.flatMap((s) => s.clusterIPs)).size).toBe(2 * writers);
      const ports = specs.flatMap((s) => [s.healthCheckNodePort, ...s.ports.map((p) => p.nodePort)]);
      expect(new Set(ports).size).toBe(2 * writers);
    });

    test('updates that ask for one health check port: one gets it', async () => {
      const names = each.map(fresh);
      for (const name of names)
        expect((await api.post(`${base}/services`, service({ type: 'NodePort' }, name))).status).toBe(201);
      const spec = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 30_020 };
      const answers = await together(
        names.map((name) => () => api.patch(`${base}/services/${name}`, 'merge', { spec })),
      );
      expect(statuses(answers)).toEqual({ 200: 1, 500: writers - 1 });
    });

    test('an address is free again after a refusal, a dry run, a deletion and a change of type', async () => {
      const spec = { clusterIP: '10.96.0.88', type: 'NodePort', ports: [{ port: 80, nodePort: 30_030 }] };
      const create = (query = '', name = 'again') =>
        api.post(`${base}/services${query}`, service(spec, name));
      isRefusing = true;
      try {
        expect((await create()).status).toBe(400);
      } finally {
        isRefusing = false;
      }
      expect((await create('?dryRun=All')).status).toBe(201);
      // A dry run holds nothing while it lasts.
      const dry = await meanwhile(
        () => create('?dryRun=All', 'dry'),
        async () => expect((await create()).status).toBe(201),
      );
      expect(dry.status).toBe(201);
      expect((await create()).body.reason).toBe('Invalid');
      await api.delete(`${base}/services/again`);
      expect((await create()).status).toBe(201);
      const external = {
        type: 'ExternalName',
        externalName: 'a.example',
        clusterIP: null,
        clusterIPs: null,
        ports: null,
      };
      const changed = await api.patch(`${base}/services/again`, 'merge', { spec: external });
      expect(changed.status, changed.text).toBe(200);
      expect((await api.post(`${base}/services`, service(spec))).status).toBe(201);
    });

    test('a quota of five lets five be made', async () => {
      const quota = `${base}/resourcequotas/five`;
      await api.post(`${base}/resourcequotas`, {
        metadata: { name: 'five' },
        spec: { hard: { 'count/secrets': '5' } },
      });
      await eventually(
        async () => {
          const { body } = await api.get(quota);
          expect(body.status).toMatchObject({
            hard: { 'count/secrets': '5' },
            used: { 'count/secrets': '0' },
          });
        },
        { timeoutMs: 30_000 },
      );
      const answers = await together(
        each.map(() => () => api.post(`${base}/secrets`, { metadata: { generateName: 's-' } })),
      );
      expect(statuses(answers)).toEqual({ 201: 5, 403: writers - 5 });
      await api.delete(quota);
    });

    test('one name is given once, also when it could be made up', async () => {
      const name = fresh();
      const answers = await together(
        each.map(
          (i) => () =>
            api.post(`${base}/configmaps`, {
              metadata: i % 2 === 0 ? { name } : { name, generateName: 'made-' },
            }),
        ),
      );
      expect(statuses(answers)).toEqual({ 201: 1, 409: writers - 1 });
      const made = await api.post(`${base}/configmaps`, { metadata: { name, generateName: 'made-' } });
      expect(made.body).toMatchObject({
        reason: 'AlreadyExists',
        message: `configmaps "${name}" already exists, the server was not able to generate a unique name for the object`,
        details: { name, kind: 'configmaps', retryAfterSeconds: 1 },
      });
    });

    test('of updates from one version one is made', async () => {
      const name = fresh();
      const { body } = await api.post(`${base}/configmaps`, { metadata: { name } });
      const { resourceVersion } = body.metadata;
      const answers = await together(
        each.map(
          (i) => () =>
            api.put(`${base}/configmaps/${name}`, {
              metadata: { name, resourceVersion },
              data: { [`k${i}`]: '' },
            }),
        ),
      );
      expect(statuses(answers)).toEqual({ 200: 1, 409: writers - 1 });
    });

    test.each(['merge', 'json', 'strategic', 'apply', 'put'] as const)(
      'of many writes by %s that name no version none is lost',
      async (how) => {
        const name = fresh();
        const path = `${base}/configmaps/${name}`;
        await api.post(`${base}/configmaps`, { metadata: { name }, data: { a: 'b' } });
        const write = (i: number): Promise<Answer> => {
          const data = { [`k${i}`]: String(i) };
          if (how === 'json')
            return api.patch(path, how, [{ op: 'add', path: `/data/k${i}`, value: String(i) }]);
          if (how === 'put') return api.put(path, { metadata: { name }, data });
          if (how === 'apply')
            return api.apply(path, `m${i}`, {
              apiVersion: 'v1',
              kind: 'ConfigMap',
              metadata: { name },
              data,
            });
          return api.patch(path, how, { data });
        };
        const answers = await together(each.map((i) => () => write(i)));
        expect(statuses(answers)).toEqual({ 200: writers });
        const { data = {} } = (await api.get(path)).body;
        expect(Object.keys(data)).toHaveLength(how === 'put' ? 1 : 1 + writers);
      },
    );

    test('many that apply or put an object that is not there yet all write it', async () => {
      const name = fresh();
      const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } };
      const answers = await together(
        each.map(
          (i) => () =>
            api.apply(`${base}/configmaps/${name}`, `m${i}`, { ...object, data: { [`k${i}`]: '' } }),
        ),
      );
      expect(statuses(answers)).toEqual({ 200: writers - 1, 201: 1 });
      expect(Object.keys((await api.get(`${base}/configmaps/${name}`)).body.data ?? {})).toHaveLength(
        writers,
      );

      const put = (path: string, object: object): Promise<Answer[]> =>
        together(each.map(() => () => api.put(`${path}/${name}`, { metadata: { name }, ...object })));
      const updated = await put(`${base}/endpoints`, { subsets: [] });
      expect(statuses(updated)).toEqual({ 200: writers - 1, 201: 1 });
      // Leases are only updated from a version.
      const leases = await put(`/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`, { spec: {} });
      expect(statuses(leases)).toEqual({ 201: 1, 422: writers - 1 });
    });

    test('writes of spec and status keep out of each other', async () => {
      const name = fresh();
      const path = `/apis/apps/v1/namespaces/${namespace}/statefulsets/${name}`;
      const labels = { app: name };
      const made = await api.post(path.slice(0, -name.length - 1), {
        metadata: { name },
        spec: {
          replicas: 0,
          serviceName: 'none',
          updateStrategy: { type: 'OnDelete' },
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
        },
      });
      expect(made.status, made.text).toBe(201);
      const few = each.slice(0, 4);
      const answers = await together([
        ...few.map(
          (i) => () =>
            api.patch(path, 'merge', {
              spec: { template: { metadata: { annotations: { [`a${i}`]: '' } } } },
            }),
        ),
        ...few.map(
          (i) => () =>
            api.patch(`${path}/status`, 'strategic', {
              status: { conditions: [{ type: `C${i}`, status: 'True' }] },
            }),
        ),
      ]);
      expect(statuses(answers)).toEqual({ 200: 2 * few.length });
      const { spec, status } = (await api.get(path)).body as unknown as {
        spec: { template: { metadata: { annotations: object } } };
        status: { conditions: unknown[] };
      };
      expect(Object.keys(spec.template.metadata.annotations)).toHaveLength(few.length);
      expect(status.conditions).toHaveLength(few.length);
    });

    test('an object is deleted once, and all at once', async () => {
      const name = fresh();
      const path = `${base}/configmaps/${name}`;
      await api.post(`${base}/configmaps`, { metadata: { name, labels: { all: 'yes' } } });
      const answers = await together(each.map(() => () => api.delete(path)));
      expect(statuses(answers)).toEqual({ 200: 1, 404: writers - 1 });

      for (let i = 0; i < writers; i++)
        await api.post(`${base}/configmaps`, { metadata: { name: fresh(), labels: { all: 'yes' } } });
      const all = await together(
        each.map(() => () => api.delete(`${base}/configmaps?labelSelector=all%3Dyes`)),
      );
      expect(statuses(all)).toEqual({ 200: writers });
    });

    test('a deletion of one version is not made of another', async () => {
      const name = fresh();
      const path = `${base}/configmaps/${name}`;
      const { body } = await api.post(`${base}/configmaps`, { metadata: { name } });
      const { resourceVersion, uid } = body.metadata;
      const change = () => api.patch(path, 'merge', { data: { a: 'b' } });
      const refused = await meanwhile(() => api.delete(path, { preconditions: { resourceVersion } }), change);
      expect(refused.body.reason).toBe('Conflict');
      const again = async (): Promise<void> => {
        await api.delete(path);
        await api.post(`${base}/configmaps`, { metadata: { name } });
      };
      const other = await meanwhile(() => api.delete(path, { preconditions: { uid } }), again);
      expect(other.body.reason).toBe('Conflict');
      const put = await meanwhile(async () => {
        const now = (await api.get(path)).body.metadata;
        return api.put(path, { metadata: { name, uid: now.uid } });
      }, again);
      expect(put.body.reason).toBe('Conflict');
      expect(
        (
          await meanwhile(
            () => api.patch(path, 'merge', { data: { c: 'd' } }),
            () => api.delete(path),
          )
        ).status,
      ).toBe(404);
    });

    test('the last finalizer and the deletion, whichever comes first', async () => {
      const name = fresh();
      const path = `${base}/configmaps/${name}`;
      const make = () =>
        api.post(`${base}/configmaps`, { metadata: { name, finalizers: ['example.com/f'] } });
      const release = () => api.patch(path, 'merge', { metadata: { finalizers: null } });
      await make();
      expect((await meanwhile(release, () => api.delete(path))).status).toBe(200);
      expect((await api.get(path)).status).toBe(404);
      await make();
      expect((await meanwhile(() => api.delete(path), release)).status).toBe(200);
      expect((await api.get(path)).status).toBe(404);
      await make();
      const added = await meanwhile(
        () =>
          api.patch(path, 'json', [{ op: 'add', path: '/metadata/finalizers/-', value: 'example.com/g' }]),
        () => api.delete(path),
      );
      expect(added.status).toBe(422);
      await release();
      expect((await api.get(path)).status).toBe(404);
    });

    // kube-apiserver makes the object all the same, and nobody ever clears it up.
    test.runIf(kind === 'embedded')('nothing is made in a namespace that went away meanwhile', async () => {
      const other = await server().namespace('races', { raced: 'yes' });
      const path = `/api/v1/namespaces/${other}`;
      const made = await meanwhile(
        () => api.post(`${path}/configmaps`, { metadata: { name: 'late' } }),
        async () => {
          await api.delete(path);
          await eventually(async () => expect((await api.get(path)).status).toBe(404), { timeoutMs: 15_000 });
        },
      );
      expect(made.body).toMatchObject({ code: 404, details: { kind: 'namespaces', name: other } });
      expect((await api.get('/api/v1/configmaps?fieldSelector=metadata.name%3Dlate')).body.items).toEqual([]);
    });
  },
  { serviceCidr: '10.96.0.0/16,fd00:10:96::/112' },
);
