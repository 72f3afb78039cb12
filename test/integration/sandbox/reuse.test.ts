import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { identifyProcess } from '#sandbox/launcher/process-identity.js';
import { writeRecord } from '#sandbox/launcher/sandbox-record.js';
import { sandboxUp } from '#sandbox/launcher/sandbox-up.js';
import { sandboxPaths } from '#sandbox/supervisor/sandbox-paths.js';
import { temporaryFolder } from '../../harness/temporary-folder.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

test('a running sandbox is not taken for one with another API server', async () => {
  const state = await temporaryFolder('meshctl-reuse-');
  vi.stubEnv('XDG_STATE_HOME', state);
  vi.stubEnv('KUBEBUILDER_ASSETS', join(state, 'assets'));
  const paths = sandboxPaths('r');
  mkdirSync(paths.folder, { recursive: true });
  await writeRecord(paths, {
    name: 'r',
    apiPort: 1,
    server: 'https://127.0.0.1:1',
    process: identifyProcess(process.pid),
    startedAt: '2026-01-01T00:00:00Z',
    apiServer: 'embedded',
  });
  await expect(sandboxUp({ name: 'r', noKubeconfig: true })).rejects.toMatchObject({
    code: 'MESH0804',
    hint: expect.stringContaining('unset KUBEBUILDER_ASSETS') as string,
  });
});
