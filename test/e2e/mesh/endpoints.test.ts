import { describe, expect, test } from 'vitest';
import { deployments, pods, services } from '#base/kube/resource.js';
import type { Pod, Service } from '#base/kube/types.js';
import { type Answer, curlFrom, enrollNamespace, installMesh, onePod } from '../../harness/bank.js';
import { applyYaml, eventually, waitForPods } from '../../harness/cluster.js';
import { useSandbox } from '../../harness/sandbox.js';

/** The same application in a namespace that goes straight to its pods, and in one behind a waypoint. */
const meshed = ['direct', 'bound'] as const;
const outside = 'plain';

const tool = (name: string, args: readonly string[], more = '') =>
  `{ name: ${name}, image: 'meshctl/tool:latest', args: ${JSON.stringify(args)}${more} }`;

const app = (namespace: string) => `
apiVersion: v1
kind: Namespace
metadata: { name: ${namespace} }
---
apiVersion: v1
kind: Pod
metadata: { name: client, namespace: ${namespace}, labels: { app: client } }
spec: { nodeName: node-1, containers: [${tool('tool', ['serve'])}] }
---
apiVersion: v1
kind: Pod
metadata: { name: server, namespace: ${namespace}, labels: { app: server } }
spec: { nodeName: node-2, containers: [${tool('tool', ['serve'])}] }
---
apiVersion: v1
kind: Pod
metadata: { name: four, namespace: ${namespace}, labels: { app: four } }
spec: { nodeName: node-2, containers: [${tool('tool', ['serve', '--host', '0.0.0.0'])}] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: many, namespace: ${namespace} }
spec:
  replicas: 3
  selector: { matchLabels: { app: many } }
  template:
    metadata: { labels: { app: many } }
    spec: { containers: [${tool('tool', ['serve'])}] }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: leaver, namespace: ${namespace} }
spec:
  selector: { matchLabels: { app: leaver } }
  template:
    metadata: { labels: { app: leaver } }
    spec:
      nodeName: node-2
      terminationGracePeriodSeconds: 100
      containers: [${tool('tool', ['serve'], ", lifecycle: { preStop: { exec: { command: ['sleep', '90'] } } }")}]
`;

/** What every client calls; each Service must answer, or not, as it does outside the mesh. */
const targets = (namespace: string, addresses: { server: string; four: string }) => `
apiVersion: v1
kind: Service
metadata: { name: twin, namespace: ${namespace} }
spec:
  selector: { app: server }
  ports:
    - { name: http, port: 443, targetPort: 8080 }
    - { name: h3, port: 443, targetPort: 9999, protocol: UDP }
---
apiVersion: v1
kind: Service
metadata: { name: udp, namespace: ${namespace} }
spec: { selector: { app: server }, ports: [{ port: 443, targetPort: 8080, protocol: UDP }] }
---
apiVersion: v1
kind: Service
metadata: { name: four, namespace: ${namespace} }
spec:
  selector: { app: four }
  ipFamilyPolicy: SingleStack
  ipFamilies: [IPv4]
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: dual, namespace: ${namespace} }
spec:
  selector: { app: four }
  ipFamilyPolicy: RequireDualStack
  ports: [{ name: http, port: 80, targetPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: leaver, namespace: ${namespace} }
spec: { selector: { app: leaver }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Service
metadata: { name: sticky, namespace: ${namespace} }
spec:
  selector: { app: many }
  sessionAffinity: ClientIP
  ports: [{ name: http, port: 80, targetPort: 8080 }]
${byHand
  .map(
    ({ name, targetPort, targetRef }) => `---
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: ${namespace} }
spec: { ports: [{ port: 5432, targetPort: ${targetPort} }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: ${name}-1, namespace: ${namespace}, labels: { kubernetes.io/service-name: ${name} } }
addressType: IPv6
ports: [{ name: '', port: 8080 }]
endpoints: [{ addresses: ['${addresses.server}']${targetRef} }]
`,
  )
  .join('')}`;

const byHand = [
  { name: 'no-ref', targetPort: 8080, targetRef: '' },
  { name: 'node-ref', targetPort: 8080, targetRef: ', targetRef: { kind: Node, name: node-2 }' },
  { name: 'pod-ref', targetPort: 8080, targetRef: ', targetRef: { kind: Pod, name: server }' },
  { name: 'other-ref', targetPort: 8080, targetRef: ', targetRef: { kind: Pod, name: other, uid: x }' },
  { name: 'other-port', targetPort: 1, targetRef: ', targetRef: { kind: Pod, name: server }' },
] as const;

const sandbox = useSandbox(
  'endpoints',
  async (s) => {
    const namespaces = [...meshed, outside];
    await installMesh(s);
    for (const namespace of namespaces) await applyYaml(s.client, app(namespace));
    await Promise.all(
      namespaces.map((namespace) =>
        waitForPods(s.client, { namespace, labelSelector: 'app', count: 7, timeoutMs: 60_000 }),
      ),
    );
    for (const namespace of namespaces) {
      const addressOf = async (name: string) =>
        (await onePod(s.client, namespace, `app=${name}`)).status?.podIP ?? '';
      const addresses = { server: await addressOf('server'), four: await addressOf('four') };
      await applyYaml(s.client, targets(namespace, addresses));
    }
    for (const namespace of meshed) await enrollNamespace(s, namespace);
    const applied = await s.meshctl(['waypoint', 'apply', '-n', 'bound', '--enroll-namespace', '--wait']);
    if (applied.exitCode !== 0) throw new Error(applied.stderr);
  },
  { flags: ['--ip-families', 'ipv6,ipv4'], needsKubectl: false },
);

function call(namespace: string, url: string): Promise<Answer> {
  return curlFrom(sandbox().client, { namespace, app: 'client' }, url);
}

/** Waits until a call is answered, and says what was seen when it never is. */
async function answers(namespace: string, url: string): Promise<void> {
  await eventually(
    async () => expect(await call(namespace, url)).toMatchObject({ exitCode: 0, status: 200 }),
    { timeoutMs: 15_000 },
  );
}

describe.each([...meshed, outside])('from namespace %s', (namespace) => {
  test('TCP of a port number that UDP has too goes to its own target', async () => {
    await answers(namespace, `http://twin.${namespace}:443/`);
  });

  test('a Service of UDP alone admits no TCP', async () => {
    await answers(namespace, `http://twin.${namespace}:443/`);
    const answer = await call(namespace, `http://udp.${namespace}:443/`);
    expect(answer.status).not.toBe(200);
    // The call was made: a name that does not resolve or a command that did not run is something else.
    expect([0, 7, 28, 52, 55, 56], answer.stderr).toContain(answer.exitCode);
  });

  test.each(byHand)('endpoints by hand: $name', async ({ name }) => {
    await answers(namespace, `http://${name}.${namespace}:5432/`);
  });

  test('an IPv4 Service reaches pods whose first address is IPv6', async () => {
    const { client } = sandbox();
    expect((await onePod(client, namespace, 'app=four')).status?.podIP).toContain(':');
    await answers(namespace, `http://four.${namespace}/`);
  });

  test('a client of a Service with affinity stays with one pod', async () => {
    const url = `http://sticky.${namespace}/`;
    await answers(namespace, url);
    const hosts = new Set<string | undefined>();
    for (let i = 0; i < 12; i++)
      hosts.add(/"hostname": *"([^"]+)"/.exec((await call(namespace, url)).body)?.[1]);
    expect([...hosts]).toEqual([expect.stringMatching(/^many-/)]);
  });

  test('a dual-stack Service keeps the family that was called', async () => {
    const { client } = sandbox();
    const service = await client.get<Service>({ resource: services, namespace, name: 'dual' });
    const ipv4 = service.spec.clusterIPs?.find((ip) => !ip.includes(':'));
    await answers(namespace, `http://${ipv4}/`);
  });
});

test('what terminates but still serves is the last resort, for everybody', async () => {
  const { client } = sandbox();
  for (const namespace of [...meshed, outside]) {
    await answers(namespace, `http://leaver.${namespace}/`);
    await client.patch(
      { resource: deployments, namespace, name: 'leaver' },
      { spec: { replicas: 0 } },
      'merge',
    );
  }
  await eventually(
    async () => {
      for (const namespace of [...meshed, outside]) {
        const leaving = await client.list<Pod>(pods, { namespace, labelSelector: 'app=leaver' });
        expect(leaving).toHaveLength(1);
        expect(leaving[0]?.metadata.deletionTimestamp).toBeDefined();
      }
    },
    { timeoutMs: 15_000 },
  );
  // For longer than it takes every proxy to hear of it: there is no moment without an answer.
  const until = Date.now() + 5_000;
  while (Date.now() < until) {
    for (const namespace of [...meshed, outside])
      expect(await call(namespace, `http://leaver.${namespace}/`)).toMatchObject({
        exitCode: 0,
        status: 200,
      });
  }
});
