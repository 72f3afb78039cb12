import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type JsonObject, objectOf } from '#sandbox/base/json.js';
import { eventually } from '../../harness/cluster.js';
import { patched, WebhookServer } from '../../harness/webhook-server.js';
import { describeServers, type RawAnswer, type ServerUnderTest } from '../servers.js';

const configurations = '/apis/admissionregistration.k8s.io/v1';
const configMapRule = { apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'], operations: ['*'] };

interface Hook extends JsonObject {
  name: string;
  path: string;
}

describeServers('admission webhooks', (server) => {
  let hooks: WebhookServer;
  let namespace: string;
  let count = 0;

  beforeAll(async () => {
    hooks = await WebhookServer.start();
  });
  afterAll(() => hooks.stop());
  beforeEach(async () => {
    namespace = await server().namespace('hooks', { hooked: 'yes' });
  });

  /** Registers webhooks that only see this test's namespace; returns when they are called. */
  async function register(kind: 'Mutating' | 'Validating', ...list: Hook[]): Promise<string> {
    const name = `conformance-${count++}`;
    const plural = `${kind.toLowerCase()}webhookconfigurations`;
    const probe = `/probe-${name}`;
    hooks.on(probe, () => ({ response: { allowed: true } }));
    const only = { matchLabels: { 'kubernetes.io/metadata.name': namespace } };
    const entry = ({ path, ...rest }: Hook): JsonObject => ({
      admissionReviewVersions: ['v1'],
      sideEffects: 'None',
      rules: [configMapRule],
      namespaceSelector: only,
      clientConfig: { url: `${hooks.url}${path}`, caBundle: hooks.caBundle },
      ...rest,
    });
    const secrets = { ...configMapRule, resources: ['secrets'] };
    const created = await server().raw({
      method: 'POST',
      path: `${configurations}/${plural}`,
      body: {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: `${kind}WebhookConfiguration`,
        metadata: { name },
        webhooks: [...list.map(entry), entry({ name: 'probe.example.com', path: probe, rules: [secrets] })],
      },
    });
    expect(created.status, created.text).toBe(201);
    await eventually(
      async () => {
        await write('POST', 'secrets', { kind: 'Secret', metadata: { name: 'probe' } }, '?dryRun=All');
        if (hooks.requests(probe).length === 0) throw new Error('the webhook is not called yet');
      },
      { timeoutMs: 10_000 },
    );
    return name;
  }

  async function unregister(kind: 'Mutating' | 'Validating', name: string): Promise<void> {
    await server().raw({
      method: 'DELETE',
      path: `${configurations}/${kind.toLowerCase()}webhookconfigurations/${name}`,
    });
  }

  async function using(
    kind: 'Mutating' | 'Validating',
    list: Hook[],
    run: () => Promise<void>,
  ): Promise<void> {
    const name = await register(kind, ...list);
    try {
      await run();
    } finally {
      await unregister(kind, name);
    }
  }

  function write(method: string, plural: string, body: JsonObject, suffix = ''): Promise<RawAnswer> {
    return server().raw({
      method,
      path: `/api/v1/namespaces/${namespace}/${plural}${suffix}`,
      body: { apiVersion: 'v1', ...body },
    });
  }

  const configMap = (name: string, data: JsonObject = { a: '1' }): JsonObject => ({
    kind: 'ConfigMap',
    metadata: { name },
    data,
  });

  const messageOf = (answer: RawAnswer): { code: number; reason: string; message: string } => {
    const { code, reason, message } = answer.json<{ code: number; reason: string; message: string }>();
    return { code, reason, message };
  };

  test('a validating webhook is told everything about the request', async () => {
    hooks.on('/see', () => ({
      response: { allowed: true, warnings: ['mind the gap'], auditAnnotations: { k: 'v' } },
    }));
    await using('Validating', [{ name: 'see.example.com', path: '/see' }], async () => {
      const made = await write('POST', 'configmaps', configMap('seen'));
      expect(made.status).toBe(201);
      expect(made.headers.warning).toContain('mind the gap');
      await write('PUT', 'configmaps', configMap('seen', { a: '2' }), '/seen');
      await server().raw({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/configmaps/seen` });
      const [create, update, remove] = hooks.requests('/see');
      expect(hooks.asked.at(-1)?.path).toBe('/see?timeout=10s');
      expect(create).toMatchObject({
        kind: { group: '', version: 'v1', kind: 'ConfigMap' },
        resource: { group: '', version: 'v1', resource: 'configmaps' },
        requestKind: { group: '', version: 'v1', kind: 'ConfigMap' },
        requestResource: { group: '', version: 'v1', resource: 'configmaps' },
        name: 'seen',
        namespace,
        operation: 'CREATE',
        userInfo: { groups: expect.arrayContaining(['system:masters', 'system:authenticated']) },
        object: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'seen', uid: expect.any(String) } },
        oldObject: null,
        dryRun: false,
        options: { kind: 'CreateOptions', apiVersion: 'meta.k8s.io/v1' },
      });
      expect(update).toMatchObject({
        operation: 'UPDATE',
        object: { data: { a: '2' } },
        oldObject: { data: { a: '1' } },
        options: { kind: 'UpdateOptions' },
      });
      expect(remove).toMatchObject({
        operation: 'DELETE',
        object: null,
        oldObject: { data: { a: '2' } },
        options: { kind: 'DeleteOptions' },
      });
    });
  });

  test('refusals carry the code, reason and message of the webhook', async () => {
    const answers: JsonObject[] = [
      { allowed: false, status: { message: 'not on a Friday', code: 403, reason: 'Forbidden' } },
      { allowed: false, status: { reason: 'TooBig' } },
      { allowed: false },
      { allowed: false, status: { code: 200, message: 'odd' } },
    ];
    hooks.on('/no', () => ({ response: answers.shift() ?? { allowed: true } }));
    await using('Validating', [{ name: 'no.example.com', path: '/no' }], async () => {
      const denied = 'admission webhook "no.example.com" denied the request';
      const seen = [];
      for (let i = 0; i < 4; i++)
        seen.push(messageOf(await write('POST', 'configmaps', configMap('refused'))));
      expect(seen).toEqual([
        { code: 403, reason: 'Forbidden', message: `${denied}: not on a Friday` },
        { code: 400, reason: 'TooBig', message: `${denied}: TooBig` },
        { code: 400, reason: undefined, message: `${denied} without explanation` },
        { code: 400, reason: undefined, message: `${denied}: odd` },
      ]);
    });
  });

  test('failures refuse or are ignored, as the policy says', async () => {
    hooks.on('/broken', () => ({ status: 500, body: 'boom' }));
    hooks.on('/nonsense', () => ({ status: 200, body: 'not json' }));
    hooks.on('/wrong-uid', () => ({ response: { uid: 'another', allowed: true } }));
    hooks.on('/slow', () => ({ never: true }));
    const attempt = async (hook: JsonObject): Promise<{ code: number; message: string } | number> => {
      let result: { code: number; message: string } | number = 0;
      await using('Validating', [{ name: 'f.example.com', path: '/broken', ...hook }], async () => {
        const answer = await write('POST', 'configmaps', configMap('attempt'), '?dryRun=All');
        result = answer.status === 201 ? 201 : messageOf(answer);
      });
      return result;
    };
    const failed = 'Internal error occurred: failed calling webhook "f.example.com": ';
    expect(await attempt({})).toMatchObject({
      code: 500,
      message: `${failed}failed to call webhook: an error on the server ("boom") has prevented the request from succeeding`,
    });
    expect(await attempt({ failurePolicy: 'Ignore' })).toBe(201);
    expect(await attempt({ path: '/absent' })).toMatchObject({
      message: `${failed}failed to call webhook: the server could not find the requested resource`,
    });
    expect(await attempt({ path: '/nonsense' })).toMatchObject({
      code: 500,
      message: expect.stringContaining(failed),
    });
    expect(await attempt({ path: '/wrong-uid' })).toMatchObject({
      message: expect.stringMatching(
        /received invalid webhook response: expected response.uid="[-0-9a-f]{36}", got "another"/,
      ),
    });
    expect(await attempt({ path: '/slow', timeoutSeconds: 1 })).toMatchObject({
      code: 500,
      message: `${failed}failed to call webhook: Post "${hooks.url}/slow?timeout=1s": context deadline exceeded`,
    });
    const other = await WebhookServer.start();
    const distrusted = { url: `${hooks.url}/broken`, caBundle: other.caBundle };
    await other.stop();
    expect(await attempt({ clientConfig: distrusted })).toMatchObject({
      message: expect.stringContaining(
        `Post "${hooks.url}/broken?timeout=10s": tls: failed to verify certificate: x509: certificate signed by unknown authority`,
      ),
    });
    const gone = { url: `${other.url}/x`, caBundle: hooks.caBundle };
    expect(await attempt({ clientConfig: gone })).toMatchObject({
      message: `${failed}failed to call webhook: Post "${other.url}/x?timeout=10s": dial tcp 127.0.0.1:${other.port}: connect: connection refused`,
    });
    const service = { namespace, name: 'nobody' };
    expect(await attempt({ clientConfig: { service, caBundle: hooks.caBundle } })).toMatchObject({
      message: `${failed}failed to call webhook: Post "https://nobody.${namespace}.svc:443/?timeout=10s": service "nobody" not found`,
    });
  });

  test('patches are applied, defaulted, and seen by the webhooks after', async () => {
    hooks.on('/first', () => ({ response: patched([{ op: 'add', path: '/data/b', value: '2' }]) }));
    hooks.on('/second', () => ({
      response: patched([{ op: 'add', path: '/metadata/labels', value: { by: 'second' } }]),
    }));
    await using(
      'Mutating',
      [
        { name: 'first.example.com', path: '/first' },
        { name: 'second.example.com', path: '/second' },
      ],
      async () => {
        const made = await write('POST', 'configmaps', {
          ...configMap('x'),
          metadata: { generateName: 'made-' },
        });
        expect(made.json()).toMatchObject({
          metadata: { name: expect.stringMatching(/^made-/), labels: { by: 'second' } },
          data: { a: '1', b: '2' },
        });
        const [asked] = hooks.requests('/second');
        expect(asked).toMatchObject({ object: { data: { a: '1', b: '2' } } });
        const metadata = objectOf(objectOf(asked?.object).metadata);
        expect([metadata.generateName, metadata.uid, metadata.name]).toEqual(['made-', undefined, undefined]);
        expect(asked?.name).toBeUndefined();
      },
    );
  });

  test('a webhook that asks for it is called again after a later change', async () => {
    hooks.on('/again', ({ review }) => {
      const data = (review.request.object as { data: Record<string, string> }).data;
      return {
        response: patched([{ op: 'add', path: '/data/calls', value: `${Number(data.calls ?? 0) + 1}` }]),
      };
    });
    hooks.on('/later', () => ({ response: patched([{ op: 'add', path: '/data/later', value: 'yes' }]) }));
    await using(
      'Mutating',
      [
        { name: 'again.example.com', path: '/again', reinvocationPolicy: 'IfNeeded' },
        { name: 'later.example.com', path: '/later' },
      ],
      async () => {
        const made = await write('POST', 'configmaps', configMap('again'));
        expect(made.json()).toMatchObject({ data: { calls: '2', later: 'yes' } });
        expect(hooks.requests('/later')).toHaveLength(1);
      },
    );
  });

  test('rules, selectors and conditions choose the requests', async () => {
    hooks.on('/chosen', () => ({ response: { allowed: true } }));
    const names = (): unknown[] => hooks.requests('/chosen').map((r) => r.name);
    await using(
      'Validating',
      [
        {
          name: 'chosen.example.com',
          path: '/chosen',
          rules: [{ ...configMapRule, operations: ['CREATE'], scope: 'Namespaced' }],
          objectSelector: { matchExpressions: [{ key: 'skip', operator: 'DoesNotExist' }] },
          matchConditions: [
            { name: 'not-quiet', expression: "!has(object.data.quiet) && request.operation == 'CREATE'" },
            {
              name: 'may',
              expression: "authorizer.group('').resource('configmaps').check('create').allowed()",
            },
          ],
        },
      ],
      async () => {
        await write('POST', 'configmaps', configMap('one'));
        await write('POST', 'configmaps', {
          ...configMap('two'),
          metadata: { name: 'two', labels: { skip: '' } },
        });
        await write('POST', 'configmaps', configMap('three', { quiet: 'yes' }));
        await write('PUT', 'configmaps', configMap('one', { a: '9' }), '/one');
        expect(names()).toEqual(['one']);
      },
    );
    await using(
      'Validating',
      [
        {
          name: 'failing.example.com',
          path: '/chosen',
          matchConditions: [{ name: 'wrong', expression: "object.data.absent == 'x'" }],
        },
      ],
      async () => {
        expect(messageOf(await write('POST', 'configmaps', configMap('four')))).toEqual({
          code: 403,
          reason: 'Forbidden',
          message: `configmaps "four" is forbidden: expression 'object.data.absent == 'x'' resulted in error: no such key: absent`,
        });
      },
    );
  });

  test('a dry run is not shown to a webhook with side effects', async () => {
    hooks.on('/effects', () => ({ response: { allowed: true } }));
    await using(
      'Validating',
      [{ name: 'effects.example.com', path: '/effects', sideEffects: 'NoneOnDryRun' }],
      async () => {
        expect((await write('POST', 'configmaps', configMap('dry'), '?dryRun=All')).status).toBe(201);
        expect(hooks.requests('/effects')).toMatchObject([{ dryRun: true, options: { dryRun: ['All'] } }]);
      },
    );
    const refused = await server().raw({
      method: 'POST',
      path: `${configurations}/validatingwebhookconfigurations`,
      body: {
        apiVersion: 'admissionregistration.k8s.io/v1',
        kind: 'ValidatingWebhookConfiguration',
        metadata: { name: 'effects' },
        webhooks: [
          {
            name: 'effects.example.com',
            sideEffects: 'Some',
            admissionReviewVersions: ['v1'],
            clientConfig: { url: `${hooks.url}/effects` },
            rules: [configMapRule],
          },
        ],
      },
    });
    expect(messageOf(refused)).toMatchObject({
      code: 422,
      message:
        'ValidatingWebhookConfiguration.admissionregistration.k8s.io "effects" is invalid: webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"',
    });
  });

  test('subresources are asked about with their own bodies', async () => {
    hooks.on('/sub', () => ({ response: { allowed: true } }));
    const rule = { apiGroups: ['apps'], apiVersions: ['*'], resources: ['deployments/*'], operations: ['*'] };
    const pods = { apiGroups: [''], apiVersions: ['v1'], resources: ['pods/*'], operations: ['*'] };
    await deploy(server(), namespace);
    await using('Validating', [{ name: 'sub.example.com', path: '/sub', rules: [rule, pods] }], async () => {
      await server().ok(['-n', namespace, 'scale', 'deployment', 'd', '--replicas=2']);
      expect(hooks.requests('/sub')).toMatchObject([
        {
          kind: { group: 'autoscaling', version: 'v1', kind: 'Scale' },
          resource: { group: 'apps', version: 'v1', resource: 'deployments' },
          subResource: 'scale',
          operation: 'UPDATE',
          object: { kind: 'Scale', apiVersion: 'autoscaling/v1', spec: { replicas: 2 } },
          oldObject: { kind: 'Scale' },
        },
      ]);
    });
  });

  test('connections and evictions are asked about before anything happens', async () => {
    hooks.on('/connect', () => ({ response: { allowed: false, status: { message: 'closed today' } } }));
    const rules = [
      { apiGroups: [''], apiVersions: ['v1'], resources: ['pods/exec', 'pods/eviction'], operations: ['*'] },
    ];
    const pod = await write('POST', 'pods', {
      kind: 'Pod',
      metadata: { name: 'p' },
      spec: { nodeName: 'nowhere', containers: [{ name: 'c', image: 'x' }] },
    });
    expect(pod.status, pod.text).toBe(201);
    await using('Validating', [{ name: 'connect.example.com', path: '/connect', rules }], async () => {
      const exec = await server().kubectl(['-n', namespace, 'exec', 'p', '-c', 'c', '--', 'ls', '-l']);
      expect(exec.stderr).toContain(
        'admission webhook "connect.example.com" denied the request: closed today',
      );
      expect(hooks.requests('/connect')[0]).toMatchObject({
        kind: { group: '', version: 'v1', kind: 'PodExecOptions' },
        resource: { group: '', version: 'v1', resource: 'pods' },
        subResource: 'exec',
        name: 'p',
        namespace,
        operation: 'CONNECT',
        object: { kind: 'PodExecOptions', apiVersion: 'v1', container: 'c', command: ['ls', '-l'] },
        oldObject: null,
      });
      const evicted = await server().raw({
        method: 'POST',
        path: `/api/v1/namespaces/${namespace}/pods/p/eviction`,
        body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name: 'p', namespace } },
      });
      expect(messageOf(evicted).message).toBe(
        'admission webhook "connect.example.com" denied the request: closed today',
      );
      expect(hooks.requests('/connect').at(-1)).toMatchObject({
        kind: { group: 'policy', version: 'v1', kind: 'Eviction' },
        subResource: 'eviction',
        operation: 'CREATE',
      });
    });
  });

  test('a rule for one version sees requests made through another', async () => {
    hooks.on('/equivalent', () => ({ response: { allowed: true } }));
    const rules = [
      {
        apiGroups: ['autoscaling'],
        apiVersions: ['v1'],
        resources: ['horizontalpodautoscalers'],
        operations: ['*'],
      },
    ];
    await using(
      'Validating',
      [
        { name: 'equivalent.example.com', path: '/equivalent', rules },
        { name: 'exact.example.com', path: '/equivalent', rules, matchPolicy: 'Exact' },
      ],
      async () => {
        const made = await server().raw({
          method: 'POST',
          path: `/apis/autoscaling/v2/namespaces/${namespace}/horizontalpodautoscalers`,
          body: {
            apiVersion: 'autoscaling/v2',
            kind: 'HorizontalPodAutoscaler',
            metadata: { name: 'h' },
            spec: {
              maxReplicas: 3,
              scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'd' },
            },
          },
        });
        expect(made.status, made.text).toBe(201);
        expect(hooks.requests('/equivalent')).toMatchObject([
          {
            kind: { group: 'autoscaling', version: 'v1' },
            requestKind: { group: 'autoscaling', version: 'v2' },
            object: { apiVersion: 'autoscaling/v1', spec: { maxReplicas: 3 } },
          },
        ]);
      },
    );
  });

  test('their own configuration cannot be intercepted', async () => {
    hooks.on('/everything', () => ({ response: { allowed: false } }));
    const all = {
      apiGroups: ['*'],
      apiVersions: ['*'],
      resources: ['*/*'],
      operations: ['*'],
      scope: 'Cluster',
    };
    const name = await register('Validating', { name: 'all.example.com', path: '/everything', rules: [all] });
    await unregister('Validating', name);
    const gone = await server().raw({
      path: `${configurations}/validatingwebhookconfigurations/${name}`,
    });
    expect(gone.status).toBe(404);
    expect(hooks.requests('/everything')).toEqual([]);
  });
});

async function deploy(server: ServerUnderTest, namespace: string): Promise<void> {
  const labels = { app: 'd' };
  const made = await server.raw({
    method: 'POST',
    path: `/apis/apps/v1/namespaces/${namespace}/deployments`,
    body: {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      spec: {
        replicas: 0,
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x' }] } },
      },
    },
  });
  if (made.status !== 201) throw new Error(made.text);
}
