import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { command, meshctl } from '../harness/meshctl.js';
import { eventually } from '../harness/cluster.js';

const dir = mkdtempSync(join(tmpdir(), 'meshctl-lifecycle-'));
const env = { HOME: dir, XDG_STATE_HOME: join(dir, 'state'), KUBECONFIG: join(dir, 'config') };
const name = 'e2e-lifecycle';

afterAll(async () => {
  await meshctl(['sandbox', 'down', '--name', name], { env });
  rmSync(dir, { recursive: true, force: true });
});

/** Processes on this machine that belong to the sandbox, by their command line. */
function processes(): string[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((pid) => {
      try {
        const text = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return text.includes(dir) && Number(pid) !== process.pid ? [`${pid} ${text}`] : [];
      } catch {
        return []; // gone in between
      }
    });
}

async function hostNetwork(): Promise<string> {
  const links = await command('ip', ['-o', 'link']);
  return links.stdout.replace(/ state \w+.*/g, '');
}

test('up merges a context into the kubeconfig; down takes it out and leaves nothing', async () => {
  const before = await hostNetwork();
  const up = await meshctl(['sandbox', 'up', '--name', name], { env });
  expect(up.exitCode, up.stderr).toBe(0);
  expect(readFileSync(env.KUBECONFIG, 'utf8')).toContain(`sandbox-${name}`);
  expect(processes().length).toBeGreaterThan(0);
  expect(await hostNetwork()).toBe(before);
  const down = await meshctl(['sandbox', 'down', '--name', name], { env });
  expect(down.exitCode, down.stderr).toBe(0);
  await eventually(
    () => {
      expect(processes()).toEqual([]);
      return Promise.resolve();
    },
    { timeoutMs: 5_000 },
  );
  const after = existsSync(env.KUBECONFIG) ? readFileSync(env.KUBECONFIG, 'utf8') : '';
  expect(after).not.toContain(`sandbox-${name}`);
  expect(await hostNetwork()).toBe(before);
});

test('after kill -9 nothing goes on running, status says so, and up works again', async () => {
  const up = await meshctl(['sandbox', 'up', '--name', name, '--no-kubeconfig'], { env });
  expect(up.exitCode, up.stderr).toBe(0);
  const [first] = processes();
  process.kill(Number(first?.split(' ')[0]), 'SIGKILL');
  await eventually(
    () => {
      expect(processes()).toEqual([]);
      return Promise.resolve();
    },
    { timeoutMs: 5_000 },
  );
  const status = await meshctl(['sandbox', 'status', '--name', name], { env });
  expect(status.exitCode).toBe(1);
  const again = await meshctl(['sandbox', 'up', '--name', name, '--no-kubeconfig'], { env });
  expect(again.exitCode, again.stderr).toBe(0);
  expect((await meshctl(['sandbox', 'down', '--name', name], { env })).exitCode).toBe(0);
});

test('down of what is not there is fine', async () => {
  const down = await meshctl(['sandbox', 'down', '--name', 'e2e-never-was'], { env });
  expect(down.exitCode, down.stderr).toBe(0);
});
