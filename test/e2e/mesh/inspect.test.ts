import { expect, test } from 'vitest';
import { execInPod } from '#base/kube/exec.js';
import type { MeshStatus } from '#mesh/inspect/status/mesh-status.js';
import type { RefusedCalls } from '#mesh/inspect/status/refused-calls.js';
import {
  bank,
  curlFrom,
  deployBank,
  enrollNamespace,
  installMesh,
  loadgenerator,
  onePod,
  outsider,
  sleep,
} from '../../harness/bank.js';
import { eventually } from '../../harness/cluster.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('inspect', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
});

/** Keeps connections from sleep to one frontend pod open while `look` runs: by address, so that it is surely this one. */
async function underTraffic<T>(look: () => Promise<T>): Promise<T> {
  const far = await onePod(sandbox().client, bank, 'app=frontend,at=far');
  const { client } = sandbox();
  const pod = await onePod(client, bank, 'app=sleep');
  const load = execInPod(client, {
    namespace: bank,
    pod: pod.metadata.name,
    container: 'sleep',
    command: ['tool', 'load', `http://${far.status?.podIP}:8080/`, '--rate', '20', '--duration', '10'],
  });
  try {
    return await look();
  } finally {
    await load;
  }
}

test('describe pod claims mTLS from live connections and shows the peer they proved', async () => {
  const { client, meshctl } = sandbox();
  const pod = await onePod(client, bank, 'app=frontend,at=far');
  await underTraffic(() =>
    eventually(
      async () => {
        const outcome = await meshctl(['describe', 'pod', `${pod.metadata.name}.${bank}`, '-o', 'json']);
        expect(outcome.exitCode, outcome.stderr).toBe(0);
        const report = JSON.parse(outcome.stdout) as { connections: unknown[] };
        expect(report).toMatchObject({
          apiVersion: 'meshctl.dev/v1',
          kind: 'PodDescription',
          verdict: 'mtls',
          intent: { isEnrolled: true },
          observed: {
            annotation: 'enabled',
            capture: { rules: { ok: true }, listeners: { 15001: true, 15006: true, 15008: true } },
          },
          identity: `spiffe://cluster.local/ns/${bank}/sa/default`,
          certificate: { state: 'Available', isValid: true },
          mtls: { mode: 'PERMISSIVE' },
          findings: [],
        });
        expect(report.connections.length).toBeGreaterThan(0);
        expect(report.connections).toContainEqual(
          expect.objectContaining({
            direction: 'inbound',
            isEncrypted: true,
            evidence: expect.stringContaining('TLSv1.3') as string,
            peer: `spiffe://cluster.local/ns/${bank}/sa/sleep`,
          }),
        );
      },
      { timeoutMs: 8_000 },
    ),
  );
});

test('describe pod reads well and x describe is the same command', async () => {
  const { client, meshctl } = sandbox();
  const pod = await onePod(client, bank, 'app=frontend,at=near');
  const outcome = await meshctl(['x', 'describe', 'pod', pod.metadata.name, '-n', bank]);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  for (const word of ['Observed', 'Intent', 'Capture', 'Identity', 'Certificate', 'Policy mode']) {
    expect(outcome.stdout).toContain(word);
  }
});

test('a pod outside the mesh is described as such, without a claim of encryption', async () => {
  const { client, meshctl } = sandbox();
  const pod = await onePod(client, outsider.namespace, 'app=sleep');
  const outcome = await meshctl([
    'describe',
    'pod',
    pod.metadata.name,
    '-n',
    outsider.namespace,
    '-o',
    'json',
  ]);
  expect(outcome.exitCode, outcome.stderr).toBe(0);
  expect(JSON.parse(outcome.stdout)).toMatchObject({ verdict: 'not-in-mesh', intent: { isEnrolled: false } });
});

test('ztunnel-config shows workloads, services, certificates and connections of the running proxies', async () => {
  const { client, meshctl } = sandbox();
  const workloads = await meshctl(['ztunnel-config', 'workload', '--workload-namespace', bank]);
  expect(workloads.exitCode, workloads.stderr).toBe(0);
  const rows = workloads.stdout.trimEnd().split('\n');
  expect(rows[0]).toMatch(/^NAMESPACE\s+POD NAME\s+ADDRESS\s+NODE\s+WAYPOINT\s+PROTOCOL$/);
  expect(rows).toHaveLength(5);
  for (const row of rows.slice(1)) expect(row).toMatch(/HBONE$/);
  const services = await meshctl(['zc', 'service', '--service-namespace', bank]);
  expect(services.stdout).toMatch(/frontend\s+10\.96\.\d+\.\d+\s+None\s+2\/2/);
  const certificates = await meshctl(['zc', 'certificate', '--node', 'node-1']);
  expect(certificates.stdout).toMatch(
    new RegExp(`spiffe://cluster.local/ns/${bank}/sa/sleep\\s+Leaf\\s+Available\\s+true`),
  );
  await underTraffic(() =>
    eventually(
      async () => {
        const connections = await meshctl(['zc', 'connections', '--workload-namespace', bank]);
        expect(connections.stdout).toMatch(/Outbound.*HBONE\s+TLSv1\.3/);
      },
      { timeoutMs: 8_000 },
    ),
  );
  const pod = await onePod(client, bank, 'app=sleep');
  const own = await meshctl(['zc', 'workload', `${pod.metadata.name}.${bank}`]);
  expect(own.stdout.trimEnd().split('\n')).toHaveLength(2);
});

test('a saved dump can be read without a cluster', async () => {
  const { meshctl } = sandbox();
  const saved = await meshctl(['zc', 'all', '--node', 'node-1', '-o', 'json']);
  expect(saved.exitCode, saved.stderr).toBe(0);
  const again = await meshctl(['zc', 'workload', '--file', '-'], {
    input: saved.stdout,
    env: { KUBECONFIG: '/nonexistent' },
  });
  expect(again.exitCode, again.stderr).toBe(0);
  expect(again.stdout).toContain(bank);
});

test('verify-install passes on a sound mesh, as a table, as JSON and as JUnit', async () => {
  const { meshctl } = sandbox();
  const table = await meshctl(['verify-install']);
  expect(table.exitCode, `${table.stdout}${table.stderr}`).toBe(0);
  const json = await meshctl(['verify-install', '-o', 'json']);
  expect(json.exitCode).toBe(0);
  expect(JSON.parse(json.stdout)).toMatchObject({ apiVersion: 'meshctl.dev/v1' });
  const junit = await meshctl(['verify-install', '-o', 'junit']);
  expect(junit.stdout).toMatch(/<testsuites?[ >]/);
});

/** As `eventually`, within the time that a change takes to reach the proxies of a busy machine. */
const soon = (attempt: () => Promise<unknown>) => eventually(attempt, { timeoutMs: 20_000 });

/** What describe says of a frontend pod, with its exit code. */
async function describeFrontend(name: string) {
  const outcome = await sandbox().meshctl(['describe', 'pod', `${name}.${bank}`, '-o', 'json']);
  const report = JSON.parse(outcome.stdout) as {
    verdict: string;
    summary: string;
    mtls: { mode: string };
    observed: { mtls: { mode: string } };
    policies: { name: string; enforcedBy: string; isLoaded: boolean; shortfall?: string }[];
    findings: { code: string; message: string }[];
  };
  return { exitCode: outcome.exitCode, report };
}

/** The calls that were refused lately, as `status` tells them. */
async function refusedCalls(): Promise<readonly RefusedCalls[]> {
  const { stdout, stderr } = await sandbox().meshctl(['status', '-o', 'json']);
  expect(stdout, stderr).not.toBe('');
  return (JSON.parse(stdout) as Pick<MeshStatus, 'refusedCalls'>).refusedCalls;
}

test('a DENY with an HTTP attribute refuses whom the rest of it matches; status and describe say so', async () => {
  const { client, kubectl } = sandbox();
  const pod = await onePod(client, bank, 'app=frontend,at=far');
  const url = `http://${pod.status?.podIP}:8080/`;
  expect((await curlFrom(client, sleep, url)).status).toBe(200);
  const denial = {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'no-delete', namespace: bank },
    spec: {
      selector: { matchLabels: { app: 'frontend' } },
      action: 'DENY',
      rules: [
        {
          from: [{ source: { principals: [`cluster.local/ns/${bank}/sa/sleep`] } }],
          to: [{ operation: { methods: ['DELETE'] } }],
        },
      ],
    },
  };
  expect((await kubectl(['apply', '-f', '-'], { input: JSON.stringify(denial) })).exitCode).toBe(0);
  await soon(async () => {
    // A GET, which the policy does not name: its sender is refused all the same, others are not.
    expect((await curlFrom(client, sleep, url)).status).toBe(0);
    expect((await curlFrom(client, loadgenerator, url)).status).toBe(200);
    const { report } = await describeFrontend(pod.metadata.name);
    expect(report.policies).toMatchObject([{ name: 'no-delete', enforcedBy: 'ztunnel', isLoaded: true }]);
    expect(report.findings.map(({ code }) => code)).toContain('MESH0932');
    const jsonpath = '{.status.conditions[?(@.type=="ZtunnelAccepted")].message}';
    const status = await kubectl(['get', 'ap', 'no-delete', '-n', bank, '-o', `jsonpath=${jsonpath}`]);
    expect(status.stdout).toContain(report.policies[0]?.shortfall);
  });
  const caller = await onePod(client, bank, 'app=sleep');
  expect(await refusedCalls()).toContainEqual(
    expect.objectContaining({
      from: `${bank}/${caller.metadata.name}`,
      to: `${bank}/${pod.metadata.name}:8080`,
      identity: `spiffe://cluster.local/ns/${bank}/sa/sleep`,
      node: pod.spec.nodeName,
      reason: `denied by AuthorizationPolicy ${bank}/no-delete`,
    }),
  );
  expect((await kubectl(['delete', 'ap', 'no-delete', '-n', bank])).exitCode).toBe(0);
  await soon(async () => expect((await curlFrom(client, sleep, url)).status).toBe(200));
});

test('describe says the mode that is enforced: strict for the namespace, disabled for the workload', async () => {
  const { client, kubectl } = sandbox();
  const pod = await onePod(client, bank, 'app=frontend,at=near');
  const url = `http://${pod.status?.podIP}:8080/`;
  const policy = (name: string, spec: object) => ({
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name, namespace: bank },
    spec,
  });
  const apply = (object: object) => kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) });
  const says = async (mode: string, status: number) =>
    soon(async () => {
      expect((await curlFrom(client, outsider, url)).status).toBe(status);
      const { report } = await describeFrontend(pod.metadata.name);
      expect([report.mtls.mode, report.observed.mtls.mode]).toEqual([mode, mode]);
    });
  await apply(policy('default', { mtls: { mode: 'STRICT' } }));
  await says('STRICT', 0);
  const stranger = await onePod(client, outsider.namespace, `app=${outsider.app}`);
  expect(await refusedCalls()).toContainEqual(
    expect.objectContaining({
      from: `outside/${stranger.metadata.name}`,
      to: `${bank}/${pod.metadata.name}:8080`,
      reason: 'plaintext, and the mode is STRICT',
    }),
  );
  const disable = { selector: { matchLabels: { app: 'frontend' } }, mtls: { mode: 'DISABLE' } };
  await apply(policy('frontend', disable));
  await says('PERMISSIVE', 200);
  expect((await kubectl(['delete', 'pa', 'default', 'frontend', '-n', bank])).exitCode).toBe(0);
});

test('a pod whose waypoint is deleted by force is not called ready: calls to it are refused', async () => {
  const { client, kubectl, meshctl } = sandbox();
  const pod = await onePod(client, bank, 'app=frontend,at=far');
  const { name } = pod.metadata;
  const url = `http://${pod.status?.podIP}:8080/`;
  const applied = await meshctl(['waypoint', 'apply', 'wl', '-n', bank, '--for', 'workload', '--wait']);
  expect(applied.exitCode, applied.stderr).toBe(0);
  await kubectl(['label', 'pod', name, '-n', bank, 'istio.io/use-waypoint=wl']);
  await soon(async () => {
    const status = await meshctl(['waypoint', 'status', 'wl', '-n', bank]);
    expect(status.stdout).toContain(`used by       Pod ${bank}/${name}`);
  });
  const refused = await meshctl(['waypoint', 'delete', 'wl', '-n', bank]);
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain(`Pod ${bank}/${name} uses ${bank}/wl`);
  await soon(async () => expect((await curlFrom(client, sleep, url)).status).toBe(200));
  await kubectl(['delete', 'gtw', 'wl', '-n', bank]);
  await soon(async () => {
    expect((await curlFrom(client, sleep, url)).status).toBe(0);
    const { exitCode, report } = await describeFrontend(name);
    expect(exitCode).toBe(1);
    expect(report.verdict).toBe('broken');
    expect(report.summary).toContain('are refused');
    expect(report.findings.map(({ code }) => code)).toContain('MESH1110');
  });
  await kubectl(['label', 'pod', name, '-n', bank, 'istio.io/use-waypoint-']);
  await soon(async () => expect((await curlFrom(client, sleep, url)).status).toBe(200));
});

test('verify-install and describe fail when a component is gone, and say which', async () => {
  const { client, kubectl, meshctl } = sandbox();
  const pod = await onePod(client, bank, 'app=sleep');
  const patched = await kubectl([
    'patch',
    'daemonset',
    'ztunnel',
    '-n',
    'istio-system',
    '--type=merge',
    '-p',
    JSON.stringify({ spec: { template: { spec: { nodeSelector: { 'test/nowhere': 'true' } } } } }),
  ]);
  expect(patched.exitCode, patched.stderr).toBe(0);
  await eventually(
    async () => {
      const verify = await meshctl(['verify-install']);
      expect(verify.exitCode).toBe(1);
      expect(`${verify.stdout}${verify.stderr}`).toContain('ztunnel');
      const described = await meshctl(['describe', 'pod', pod.metadata.name, '-n', bank, '-o', 'json']);
      expect(described.exitCode).toBe(1);
      const report = JSON.parse(described.stdout) as { verdict: string };
      expect(['broken', 'unknown']).toContain(report.verdict);
    },
    { timeoutMs: 40_000 },
  );
});
