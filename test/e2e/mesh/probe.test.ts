import { expect, test } from 'vitest';
import { bank, deployBank, enrollNamespace, installMesh, onePod } from '../../harness/bank.js';
import { captureBetweenNodes } from '../../harness/capture.js';
import { applyYaml, eventually } from '../../harness/cluster.js';
import { wireFacts } from '../../harness/pcap.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('probe', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

interface Probe {
  readonly kind: string;
  readonly isConnected: boolean;
  readonly isEncrypted: boolean;
  readonly summary: string;
  readonly waypoint?: string;
  readonly policy?: { readonly isAllowed: boolean; readonly policy?: string; readonly by: string };
  readonly http?: { readonly status: number };
  readonly hops: readonly {
    readonly part: string;
    readonly state: string;
    readonly detail: string;
    readonly peer?: string;
  }[];
  readonly findings: readonly { readonly code: string; readonly message: string }[];
}

const caller = `spiffe://cluster.local/ns/${bank}/sa/sleep`;
const server = `spiffe://cluster.local/ns/${bank}/sa/default`;

async function probe(...args: readonly string[]): Promise<Probe & { readonly exitCode: number }> {
  const outcome = await sandbox().meshctl(['probe', ...args, '-n', bank, '-o', 'json']);
  expect(outcome.stdout, outcome.stderr).toContain('"kind": "Probe"');
  return { ...(JSON.parse(outcome.stdout) as Probe), exitCode: outcome.exitCode };
}

function peerAt(result: Probe, part: string): string | undefined {
  return result.hops.find((hop) => hop.part === part)?.peer;
}

async function podAt(place: 'near' | 'far'): Promise<string> {
  const pod = await onePod(sandbox().client, bank, `app=frontend,at=${place}`);
  return `pod/${pod.metadata.name}:8080`;
}

test.each(['near', 'far'] as const)(
  'a pod of the mesh that is %s is reached encrypted, with both identities proved',
  async (place) => {
    const result = await probe('deploy/sleep', await podAt(place));
    expect(result, result.summary).toMatchObject({
      exitCode: 0,
      isConnected: true,
      isEncrypted: true,
      findings: [],
    });
    expect(result.hops.map(({ part, state }) => `${part} ${state}`)).toEqual([
      'source ok',
      'source-proxy ok',
      'destination-proxy ok',
      'destination ok',
    ]);
    expect(result.hops[0]?.detail).toContain('captured');
    expect(peerAt(result, 'source-proxy')).toBe(server);
    expect(peerAt(result, 'destination-proxy')).toBe(caller);
  },
);

test('the probe itself is encrypted on the wire', async () => {
  const { meshctl, name } = sandbox();
  const target = await podAt('far');
  let result: Probe | undefined;
  const segments = await captureBetweenNodes({
    meshctl,
    sandbox: name,
    node: 'node-1',
    seconds: 6,
    during: async () => {
      result = await probe('deploy/sleep', target, '--protocol', 'http', '--path', '/readable-marker');
    },
  });
  expect(result?.http?.status).toBe(200);
  const facts = wireFacts(segments, 'readable-marker');
  expect(facts.tlsSegments).toBeGreaterThan(0);
  expect(facts.readableSegments).toBe(0);
});

test('a Service is sent one request, and reads well', async () => {
  const outcome = await sandbox().meshctl(['probe', 'sa/sleep', 'frontend', '-n', bank]);
  expect(outcome.exitCode, outcome.stdout).toBe(0);
  const [first = ''] = outcome.stdout.split('\n');
  expect(first).toMatch(
    new RegExp(
      `^Pod ${bank}/sleep-\\S+ reaches Service ${bank}/frontend:80 encrypted \\(TLSv1.3 \\S+\\), HTTP 200$`,
    ),
  );
  expect(outcome.stdout).toContain(`peer proved ${caller}`);
});

test('plaintext of a source outside of the mesh is said, not hidden', async () => {
  const result = await probe('deploy/sleep.outside', `frontend.${bank}`);
  expect(result, result.summary).toMatchObject({ exitCode: 0, isConnected: true, isEncrypted: false });
  expect(result.summary).toContain('in plaintext: the source is not in the mesh');
  expect(result.hops[0]?.detail).toContain('not captured');
});

test('a dead target, and a Service that nobody is behind', async () => {
  const far = (await podAt('far')).replace(':8080', ':8099');
  const dead = await probe('deploy/sleep', far);
  expect(dead, dead.summary).toMatchObject({
    exitCode: 1,
    isConnected: false,
    findings: [{ code: 'MESH0993' }],
  });
  expect(dead.findings[0]?.message).toMatch(/does not reach Pod .*frontend-far.*:8099: nothing listens on/);
  expect(dead.hops[0]?.detail).not.toContain('not captured');
  await applyYaml(
    sandbox().client,
    `apiVersion: v1
kind: Service
metadata: { name: nobody, namespace: ${bank} }
spec:
  selector: { app: nobody }
  ports: [{ name: http, port: 80 }]
`,
  );
  const nobody = await probe('deploy/sleep', 'nobody');
  expect(nobody, nobody.summary).toMatchObject({ exitCode: 1, findings: [{ code: 'MESH0993' }] });
  expect(nobody.findings[0]?.message).toContain(`Service ${bank}/nobody:80: no pod is behind the Service`);
});

test('a denial by the node proxy names its policy; STRICT is named to an outsider', async () => {
  const { kubectl, client } = sandbox();
  await applyYaml(
    client,
    `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: { name: default, namespace: ${bank} }
spec: { mtls: { mode: STRICT } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny-sleep, namespace: ${bank} }
spec:
  selector: { matchLabels: { app: frontend } }
  action: DENY
  rules: [{ from: [{ source: { principals: ["cluster.local/ns/${bank}/sa/sleep"] } }] }]
`,
  );
  await eventually(
    async () => {
      const denied = await probe('deploy/sleep', await podAt('far'));
      expect(denied, denied.summary).toMatchObject({
        exitCode: 1,
        isConnected: false,
        policy: { isAllowed: false, policy: `${bank}/deny-sleep` },
        findings: [{ code: 'MESH0994', subject: { kind: 'AuthorizationPolicy', name: 'deny-sleep' } }],
      });
      const outsider = await probe('deploy/sleep.outside', `frontend.${bank}`);
      expect(outsider, outsider.summary).toMatchObject({ exitCode: 1, findings: [{ code: 'MESH0994' }] });
      expect(outsider.summary).toContain('the mTLS mode is STRICT');
    },
    { timeoutMs: 10_000 },
  );
  await kubectl(['delete', 'authorizationpolicy,peerauthentication', '--all', '-n', bank]);
  await eventually(
    async () =>
      expect(await probe('deploy/sleep', await podAt('far'))).toMatchObject({ exitCode: 0, findings: [] }),
    { timeoutMs: 10_000 },
  );
});

test('a NetworkPolicy that admits the port but not 15008 is told apart', async () => {
  const { kubectl } = sandbox();
  const applied = await kubectl(['apply', '-f', '-'], {
    input: `apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: { name: app-port-only, namespace: ${bank} }
spec:
  podSelector: { matchLabels: { at: far } }
  policyTypes: [Ingress]
  ingress: [{ ports: [{ port: 8080 }] }]
`,
  });
  expect(applied.exitCode, applied.stderr).toBe(0);
  // A kept HBONE connection is let through as an established one: a caller that has none.
  const target = await podAt('far');
  await eventually(
    async () => {
      const blocked = await probe('deploy/loadgenerator', target);
      expect(blocked, blocked.summary).toMatchObject({ exitCode: 1, findings: [{ code: 'MESH0995' }] });
      expect(blocked.summary).toContain('15008');
    },
    { timeoutMs: 40_000 },
  );
  await kubectl(['delete', 'networkpolicy', '--all', '-n', bank]);
  await eventually(
    async () => expect(await probe('deploy/loadgenerator', target)).toMatchObject({ exitCode: 0 }),
    {
      timeoutMs: 10_000,
    },
  );
});

test('through a waypoint: that it was passed, and which of its policies decided', async () => {
  const { meshctl, client, kubectl } = sandbox();
  const applied = await meshctl(['waypoint', 'apply', '-n', bank, '--enroll-namespace', '--wait']);
  expect(applied.exitCode, applied.stderr).toBe(0);
  const proxy = `spiffe://cluster.local/ns/${bank}/sa/waypoint`;
  await eventually(
    async () => {
      const passed = await probe('deploy/sleep', 'frontend');
      expect(passed, passed.summary).toMatchObject({
        exitCode: 0,
        isEncrypted: true,
        waypoint: `${bank}/waypoint`,
        http: { status: 200 },
      });
      expect(passed.hops.map(({ part }) => part)).toContain('waypoint');
      expect(peerAt(passed, 'source-proxy')).toBe(proxy);
      expect(peerAt(passed, 'waypoint')).toBe(caller);
      expect(peerAt(passed, 'destination-proxy')).toBe(proxy);
    },
    { timeoutMs: 15_000 },
  );
  await applyYaml(
    client,
    `apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: no-get, namespace: ${bank} }
spec:
  targetRefs: [{ kind: Service, group: "", name: frontend }]
  action: DENY
  rules: [{ to: [{ operation: { methods: [GET] } }] }]
`,
  );
  await eventually(
    async () => {
      const denied = await probe('deploy/sleep', 'frontend');
      expect(denied, denied.summary).toMatchObject({
        exitCode: 1,
        http: { status: 403 },
        policy: { isAllowed: false, policy: `${bank}/no-get`, by: `waypoint ${bank}/waypoint` },
        findings: [{ code: 'MESH0994' }],
      });
    },
    { timeoutMs: 10_000 },
  );
  await kubectl(['delete', 'authorizationpolicy', '--all', '-n', bank]);
});

test('what cannot be probed says why', async () => {
  const { meshctl } = sandbox();
  const noPort = await meshctl(['probe', 'deploy/sleep', '10.0.0.1', '-n', bank]);
  expect(noPort.exitCode).toBe(2);
  expect(noPort.stderr).toContain('MESH0990');
  const noService = await meshctl(['probe', 'deploy/sleep', 'frontent', '-n', bank]);
  expect(noService.exitCode).toBe(1);
  expect(noService.stderr).toContain(`there is no Service frontent in namespace ${bank}`);
});
