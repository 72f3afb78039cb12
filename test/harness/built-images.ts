import { join } from 'node:path';
import { command } from './meshctl.js';

/** Debian's name of this machine's architecture. */
export const machineArchitecture = process.arch === 'x64' ? 'amd64' : process.arch;

const buildMaxMs = 240_000;

/** Builds images for this machine with the program of `npm run images`; what it prints. `dist` must be built. */
export async function buildImages(out: string, ...args: readonly string[]): Promise<string> {
  const program = JSON.stringify(join(process.cwd(), 'dist/images.js'));
  const script = `import(${program}).then(async (m) => { process.exitCode = await m.main(process.argv.slice(1)); })`;
  const platform = ['--platform', `linux/${machineArchitecture}`];
  const { exitCode, stdout, stderr } = await command(
    'node',
    ['-e', script, '--', ...platform, ...args, '--out', out],
    { timeoutMs: buildMaxMs },
  );
  if (exitCode !== 0) throw new Error(`the images were not built: ${stderr}${stdout}`);
  return stdout;
}
