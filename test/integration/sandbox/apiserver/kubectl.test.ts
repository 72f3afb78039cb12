import { execFileSync, spawn } from 'node:child_process';
import { createServer, request as httpRequest } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ApiUnderTest, eventually } from './api-under-test.js';

function hasKubectl(): boolean {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
const isAvailable = hasKubectl();
if (!isAvailable)
  process.stderr.write('SKIPPED: kubectl is not installed, the API server was not tried with it\n');

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: c, image: "web:1", ports: [{containerPort: 80}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`;
const pod = `
apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  nodeName: node-1
  containers: [{name: c, image: "x:1"}]
`;
const running =
  '{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}],"containerStatuses":[{"name":"c","ready":true,"restartCount":0,"image":"x:1","imageID":"","state":{"running":{}}}]}}';
const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  names: {plural: widgets, kind: Widget, shortNames: [wd]}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}, scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    additionalPrinterColumns:
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            required: [size]
            x-kubernetes-validations:
            - {rule: "self.min <= self.max", message: "min must not exceed max"}
            - {rule: "self.size == oldSelf.size", message: "size is immutable"}
            properties:
              size: {type: string, enum: [S, M, L], description: How big.}
              min: {type: integer, default: 1}
              max: {type: integer, default: 5}
              replicas: {type: integer, default: 1}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
`;
const widget = (spec: string): string =>
  `{"apiVersion":"example.com/v1","kind":"Widget","metadata":{"name":"w"},"spec":${spec}}`;

describe.skipIf(!isAvailable)('kubectl against the API server', () => {
  let t: ApiUnderTest;
  beforeAll(async () => {
    t = await ApiUnderTest.start();
    // Pods need the service account that the server makes for each namespace.
    await eventually(async () => (await t.kubectl(['get', 'sa', 'default'])).exitCode === 0);
  });
  afterAll(async () => {
    await t.stop();
  });

  test('client-side apply creates, is idempotent, and merges lists by key', async () => {
    const file = t.file('web.yaml', deployment);
    expect(await t.ok(['apply', '-f', file])).toContain('deployment.apps/web created');
    expect(await t.ok(['apply', '-f', file])).toBe('deployment.apps/web unchanged\nservice/web unchanged\n');
    const changed = t.file(
      'web2.yaml',
      deployment.replace('web:1', 'web:2').replace('replicas: 2', 'replicas: 3'),
    );
    expect(await t.ok(['apply', '-f', changed])).toContain('deployment.apps/web configured');
    const spec = JSON.parse(await t.ok(['get', 'deploy', 'web', '-o', 'jsonpath={.spec}'])) as Record<
      string,
      unknown
    >;
    expect(spec).toMatchObject({
      replicas: 3,
      revisionHistoryLimit: 10,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
      template: {
        spec: { restartPolicy: 'Always', containers: [{ image: 'web:2', ports: [{ protocol: 'TCP' }] }] },
      },
    });
    expect(await t.ok(['get', 'deploy', 'web'])).toMatch(
      /^NAME +READY +UP-TO-DATE +AVAILABLE +AGE\nweb +0\/3/,
    );
    expect(await t.ok(['get', 'svc', 'web'])).toMatch(/web +ClusterIP +10\.96\.\d+\.\d+ +<none> +80\/TCP/);
  });

  test('server-side apply owns fields, reports conflicts and takes them by force', async () => {
    const config = (value: string): string =>
      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ssa"},"data":{"k":"${value}"}}`;
    await t.ok(['apply', '--server-side', '--field-manager=a', '-f', '-'], config('1'));
    const conflict = await t.kubectl(['apply', '--server-side', '--field-manager=b', '-f', '-'], config('2'));
    expect(conflict.exitCode).not.toBe(0);
    expect(conflict.stderr).toContain('conflict with "a": .data.k');
    await t.ok(['apply', '--server-side', '--field-manager=b', '--force-conflicts', '-f', '-'], config('2'));
    expect(await t.ok(['get', 'cm', 'ssa', '-o', 'jsonpath={.data.k}'])).toBe('2');
    await t.ok(
      ['apply', '--server-side', '--field-manager=b', '-f', '-'],
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"ssa"}}',
    );
    expect(await t.ok(['get', 'cm', 'ssa', '-o', 'jsonpath={.data}'])).toBe('');
  });

  test('dry run changes nothing', async () => {
    const body = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"dry"},"data":{"k":"1"}}';
    expect(await t.ok(['apply', '--dry-run=server', '-f', '-'], body)).toContain('created (server dry run)');
    expect((await t.kubectl(['get', 'cm', 'dry'])).stderr).toContain('configmaps "dry" not found');
  });

  test('label, annotate, patch, scale, restart, explain', async () => {
    await t.ok(['create', 'deployment', 'tools', '--image=a:1', '--replicas=1']);
    await t.ok(['label', 'deploy', 'tools', 'tier=x']);
    await t.ok(['annotate', 'deploy', 'tools', 'note=y']);
    const pause = '[{"op":"add","path":"/spec/paused","value":true}]';
    await t.ok(['patch', 'deploy', 'tools', '--type=json', '-p', pause]);
    await t.ok(['patch', 'deploy', 'tools', '-p', '{"spec":{"paused":null}}']);
    await t.ok(['scale', 'deploy', 'tools', '--replicas=4']);
    await t.ok(['rollout', 'restart', 'deploy', 'tools']);
    const out = JSON.parse(await t.ok(['get', 'deploy', '-l', 'tier=x', '-o', 'json'])) as {
      items: {
        spec: {
          replicas: number;
          paused?: boolean;
          template: { metadata: { annotations: Record<string, string> } };
        };
        metadata: { generation: number };
      }[];
    };
    const [item] = out.items;
    expect(item?.spec.replicas).toBe(4);
    expect(item?.spec.paused).toBeUndefined();
    expect(Object.keys(item?.spec.template.metadata.annotations ?? {})).toContain(
      'kubectl.kubernetes.io/restartedAt',
    );
    expect(item?.metadata.generation).toBe(5);
    expect(await t.ok(['explain', 'deployment.spec.replicas'])).toContain('FIELD: replicas <integer>');
  });

  test('invalid objects are refused in the words of Kubernetes', async () => {
    const bad = await t.kubectl(
      ['apply', '-f', '-'],
      pod.replace('image: "x:1"', 'image: ""').replace('name: p', 'name: P_x'),
    );
    expect(bad.stderr).toContain('The Pod "P_x" is invalid');
    expect(bad.stderr).toContain('spec.containers[0].image: Required value');
    const unknown = await t.kubectl(['apply', '-f', '-'], pod.replace('nodeName', 'nodename'));
    expect(unknown.stderr).toContain('unknown field "spec.nodename"');
  });

  test('pods get their service account volume, logs, exec and port-forward', async () => {
    await t.ok(['apply', '-f', '-'], pod);
    await t.ok(['patch', 'pod', 'p', '--subresource=status', '--type=merge', '-p', running]);
    await t.ok(['wait', '--for=condition=Ready', 'pod/p', '--timeout=5s']);
    expect(
      await t.ok(['get', 'pod', 'p', '-o', 'jsonpath={.spec.containers[0].volumeMounts[0].mountPath}']),
    ).toBe('/var/run/secrets/kubernetes.io/serviceaccount');
    expect(await t.ok(['get', 'pods'])).toMatch(/p +1\/1 +Running/);
    expect(await t.ok(['logs', 'p', '--tail=2'])).toBe('two\nthree\n');
    expect((await t.kubectl(['logs', 'p', '--previous'])).stderr).toContain(
      'previous terminated container "c" not found',
    );
    const exec = await t.kubectl(
      ['exec', '-i', 'p', '--', 'sh', '-c', 'cat; echo oops >&2; exit 7'],
      'through stdin',
    );
    expect(exec).toMatchObject({ stdout: 'through stdin', exitCode: 7 });
    expect(exec.stderr).toContain('oops');
  });

  test('kubectl port-forward carries requests', async () => {
    const body = 'x'.repeat(300_000);
    const target = createServer((_request, response) => response.end(body));
    await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', () => resolve()));
    const address = target.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const forward = spawn('kubectl', ['port-forward', 'pod/p', `:${port}`], { env: t.environment() });
    try {
      let output = '';
      forward.stdout.on('data', (chunk: Buffer) => {
        output += chunk.toString();
      });
      await eventually(async () => /127\.0\.0\.1:(\d+) ->/.test(output), 10_000);
      const local = Number(/127\.0\.0\.1:(\d+) ->/.exec(output)?.[1]);
      for (let i = 0; i < 3; i++) {
        const size = await new Promise<number>((resolve, reject) => {
          httpRequest({ host: '127.0.0.1', port: local, agent: false }, (response) => {
            let total = 0;
            response.on('data', (chunk: Buffer) => {
              total += chunk.length;
            });
            response.on('end', () => resolve(total));
          })
            .on('error', reject)
            .end();
        });
        expect(size).toBe(body.length);
      }
    } finally {
      forward.kill();
      target.close();
    }
  });

  test('custom resources are validated, defaulted, printed and explained', async () => {
    await t.ok(['apply', '-f', '-'], crd);
    await t.ok(['wait', '--for=condition=established', 'crd/widgets.example.com', '--timeout=5s']);
    await t.ok(['apply', '-f', '-'], widget('{"size":"S"}'));
    expect(await t.ok(['get', 'wd', 'w', '-o', 'jsonpath={.spec.max}'])).toBe('5');
    expect((await t.kubectl(['apply', '-f', '-'], widget('{"size":"XL"}'))).stderr).toContain(
      'spec.size: Unsupported value: "XL": supported values: "S", "M", "L"',
    );
    expect((await t.kubectl(['apply', '-f', '-'], widget('{"size":"S","min":9}'))).stderr).toContain(
      'min must not exceed max',
    );
    expect((await t.kubectl(['apply', '-f', '-'], widget('{"size":"M"}'))).stderr).toContain(
      'size is immutable',
    );
    await t.ok([
      'patch',
      'wd',
      'w',
      '--subresource=status',
      '--type=merge',
      '-p',
      '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}',
    ]);
    expect(await t.ok(['get', 'wd'])).toMatch(/NAME +READY\nw +True/);
    await t.ok(['scale', 'wd', 'w', '--replicas=3']);
    expect(await t.ok(['get', 'wd', 'w', '-o', 'jsonpath={.spec.replicas}'])).toBe('3');
    expect(await t.ok(['explain', 'widget.spec.size'])).toContain('How big.');
    await t.ok(['delete', 'crd', 'widgets.example.com']);
    expect((await t.kubectl(['get', 'wd'])).exitCode).not.toBe(0);
  });

  test('RBAC is enforced for service accounts and impersonated users', async () => {
    expect(
      (await t.kubectl(['auth', 'can-i', 'list', 'pods', '--as=system:serviceaccount:default:default']))
        .stdout,
    ).toBe('no\n');
    await t.ok(['create', 'role', 'reader', '--verb=get,list', '--resource=pods']);
    await t.ok(['create', 'rolebinding', 'reader', '--role=reader', '--serviceaccount=default:default']);
    expect(await t.ok(['auth', 'can-i', 'list', 'pods', '--as=system:serviceaccount:default:default'])).toBe(
      'yes\n',
    );
    const token = (await t.ok(['create', 'token', 'default'])).trim();
    const asAccount = [
      '--server',
      t.server,
      '--token',
      token,
      '--kubeconfig',
      '/dev/null',
      '--insecure-skip-tls-verify',
    ];
    expect((await t.kubectl([...asAccount, 'get', 'pods'])).exitCode).toBe(0);
    const denied = await t.kubectl([...asAccount, 'get', 'secrets']);
    expect(denied.stderr).toContain(
      'secrets is forbidden: User "system:serviceaccount:default:default" cannot list resource "secrets" in API group "" in the namespace "default"',
    );
    await t.ok(['create', 'clusterrolebinding', 'editor', '--clusterrole=edit', '--user=eve']);
    const escalation = await t.kubectl([
      'create',
      'rolebinding',
      'x',
      '--clusterrole=cluster-admin',
      '--user=eve',
      '--as=eve',
    ]);
    expect(escalation.exitCode).not.toBe(0);
  });

  test('deleting an owner takes its dependents; deleting a namespace empties it', async () => {
    const owner = JSON.parse(await t.ok(['create', 'cm', 'owner', '-o', 'json'])) as {
      metadata: { uid: string };
    };
    const child = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: {
        name: 'child',
        ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'owner', uid: owner.metadata.uid }],
      },
    };
    await t.ok(['apply', '-f', '-'], JSON.stringify(child));
    await t.ok(['delete', 'cm', 'owner']);
    await eventually(async () => (await t.kubectl(['get', 'cm', 'child'])).exitCode !== 0);
    await t.ok(['create', 'ns', 'short']);
    await t.ok(['create', 'cm', 'inside', '-n', 'short']);
    await t.ok(['delete', 'ns', 'short', '--timeout=10s']);
    expect((await t.kubectl(['get', 'ns', 'short'])).stderr).toContain('not found');
    await t.ok(['create', 'ns', 'short']);
    expect((await t.kubectl(['get', 'cm', 'inside', '-n', 'short'])).exitCode).not.toBe(0);
  });
});
