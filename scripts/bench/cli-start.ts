import { command, meshctlPath } from '../../test/harness/meshctl.js';
import type { Measurements } from './measurements.js';

const rounds = 15;

/** Wall time of whole processes in ms; the commands take turns, and each round starts with bare Node. */
export async function measureCliStart(measurements: Measurements): Promise<void> {
  const programs = {
    'node -e 0': ['-e', '0'],
    'version --client': [meshctlPath, 'version', '--client'],
    '--help': [meshctlPath, '--help'],
  };
  // The first start of each reads its files from the disk.
  for (let round = -1; round < rounds; round++) {
    for (const [name, args] of Object.entries(programs)) {
      const startedAt = performance.now();
      const { exitCode, stderr } = await command(process.execPath, args);
      const tookMs = performance.now() - startedAt;
      if (exitCode !== 0) throw new Error(`${name} ended with exit code ${exitCode}: ${stderr}`);
      if (round >= 0) measurements.record(name, tookMs);
    }
  }
}
