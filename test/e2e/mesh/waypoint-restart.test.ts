import { expect, test } from 'vitest';
import { bank, deployBank, enrollNamespace, installMesh, sleep } from '../../harness/bank.js';
import { hitless, podLoad } from '../../harness/load.js';
import { useSandbox } from '../../harness/sandbox.js';

const sandbox = useSandbox('waypoint-restart', async (s) => {
  await Promise.all([installMesh(s), deployBank(s.client)]);
  await enrollNamespace(s, bank);
  const applied = await s.meshctl(['waypoint', 'apply', '-n', bank, '--enroll-namespace', '--wait']);
  if (applied.exitCode !== 0) throw new Error(`waypoint apply: ${applied.stderr}${applied.stdout}`);
});

test('the restart of a waypoint costs clients with kept connections nothing', async () => {
  const { kubectl } = sandbox();
  // Six clients with one connection each, a request every 250 ms on each of them.
  const load = await podLoad(sandbox(), {
    from: sleep,
    url: 'http://frontend.bank-of-ambient/',
    rate: 24,
    connections: 6,
  });
  const restart = async (): Promise<void> => {
    for (const verb of ['restart', 'status']) {
      const outcome = await kubectl(['rollout', verb, 'deployment/waypoint', '-n', bank]);
      expect(outcome.exitCode, outcome.stderr).toBe(0);
    }
  };
  const summary = await hitless(load, restart, { answers: 120 });
  process.stderr.write(`waypoint restart: ${JSON.stringify({ sent: summary.sent, ok: summary.ok })}\n`);
});
