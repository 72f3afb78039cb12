import { expect, test } from 'vitest';
import { checkHost } from '#sandbox/launcher/host/host-check.js';

const missing = await checkHost();
if (missing.length > 0) process.stderr.write(`skipped: no sandbox here, ${JSON.stringify(missing)}\n`);

test.skipIf(missing.length > 0)(
  'what its images need of the kernel is tried, and named when it lacks',
  async () => {
    const works = { piece: 'a module', attempt: { command: 'true' }, modules: 'works' };
    const fails = {
      piece: 'another module',
      attempt: { table: 'nat', rule: 'OUTPUT -j NOWHERE' },
      modules: 'xt_NOWHERE',
    } as const;
    expect(await checkHost({ kernelTrials: [works] })).toEqual([]);
    expect(await checkHost({ kernelTrials: [works, fails] })).toMatchObject([
      { piece: 'another module', fix: 'sudo modprobe -a xt_NOWHERE' },
    ]);
  },
);
