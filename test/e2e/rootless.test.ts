import { afterAll, expect, test } from 'vitest';
import {
  bank,
  curlFrom,
  deployBank,
  enrollNamespace,
  installMesh,
  onePod,
  outsider,
  sleep,
} from '../harness/bank.js';
import { captureBetweenNodes } from '../harness/capture.js';
import { applyFile, eventually } from '../harness/cluster.js';
import { ordinaryUser } from '../harness/meshctl.js';
import { wireFacts } from '../harness/pcap.js';
import { useSandbox } from '../harness/sandbox.js';

const user = ordinaryUser();
// Before the sandbox's own clean-up is declared, so that it runs after it.
afterAll(user.forget);

const sandbox = useSandbox(
  'rootless',
  async (s) => {
    await Promise.all([installMesh(s), deployBank(s.client)]);
    await enrollNamespace(s, bank);
  },
  { runMeshctl: user.run, needsKubectl: false },
);

const frontendUrl = 'http://frontend.bank-of-ambient/';

test('an ordinary user has a verified mesh', async () => {
  const verify = await sandbox().meshctl(['verify-install']);
  expect(verify.exitCode, `${verify.stdout}${verify.stderr}`).toBe(0);
});

test('its traffic between nodes is encrypted, and callers outside the mesh are still served', async () => {
  const { client, meshctl, name } = sandbox();
  const far = await onePod(client, bank, 'app=frontend,at=far');
  const marker = 'rootless-marker';
  const segments = await captureBetweenNodes({
    meshctl,
    sandbox: name,
    node: 'node-1',
    seconds: 3,
    during: async () => {
      const answer = await curlFrom(
        client,
        sleep,
        '-H',
        `x-marker: ${marker}`,
        `http://${far.status?.podIP}:8080/`,
      );
      expect(answer).toMatchObject({ exitCode: 0, status: 200 });
    },
  });
  const facts = wireFacts(segments, marker);
  expect(facts.readableSegments).toBe(0);
  expect(facts.tlsSegments).toBeGreaterThan(0);
  expect(await curlFrom(client, outsider, frontendUrl)).toMatchObject({ exitCode: 0, status: 200 });
});

test('a waypoint enforces L7 policy', async () => {
  const { client, meshctl } = sandbox();
  const applied = await meshctl(['waypoint', 'apply', '-n', bank, '--enroll-namespace', '--wait']);
  expect(applied.exitCode, applied.stderr).toBe(0);
  await applyFile(client, 'test/e2e/fixtures/seed-frontend-viewer.yaml');
  await eventually(
    async () => {
      const denied = await curlFrom(client, sleep, '-X', 'DELETE', frontendUrl);
      expect(denied).toMatchObject({ status: 403, body: 'RBAC: access denied' });
    },
    { timeoutMs: 15_000 },
  );
  expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ status: 200 });
});

test('uninstall leaves pods that talk', async () => {
  const { client, meshctl } = sandbox();
  const gone = await meshctl(['uninstall', '--purge', '--yes']);
  expect(gone.exitCode, `${gone.stdout}${gone.stderr}`).toBe(0);
  expect(await curlFrom(client, sleep, frontendUrl)).toMatchObject({ status: 200 });
});
