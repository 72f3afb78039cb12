import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { command } from '../harness/meshctl.js';
import { useSandbox } from '../harness/sandbox.js';
import { makeTestFolder } from '../harness/test-user.js';
import { describeWith } from './programs.js';

const program = 'test/interop/python/client.py';
const installTimeoutMs = 180_000;

describeWith('the Python client', { needs: ['python3'] }, () => {
  const folder = makeTestFolder();
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const python = join(folder, 'venv/bin/python');
  const sandbox = useSandbox(
    'python',
    async () => {
      const steps = [
        ['python3', '-m', 'venv', join(folder, 'venv')],
        [python, '-m', 'pip', 'install', '--quiet', '-r', 'test/interop/python/requirements.txt'],
      ];
      for (const [file = '', ...args] of steps) {
        const { exitCode, stderr } = await command(file, args, { timeoutMs: installTimeoutMs });
        expect(exitCode, stderr).toBe(0);
      }
    },
    { needsKubectl: false },
  );

  test('does what programs do with it', async () => {
    // The client keeps what it learned of the server among the temporary files.
    const env = { ...sandbox().env, TMPDIR: folder };
    const { stdout, stderr, exitCode } = await command(python, [program], { env });
    expect(exitCode, stdout + stderr).toBe(0);
    const tests = [...readFileSync(program, 'utf8').matchAll(/^def (test_\w+)/gm)].map(([, name]) => name);
    expect(stdout.trim().split('\n')).toEqual(tests.map((name) => `passed ${name}`));
    expect(tests.length).toBeGreaterThan(10);
  });
});
