import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, test } from 'vitest';

/** Source of the controller that is built here. */
export const controllerSource = resolve('test/interop/controller-runtime');

const lookMaxMs = 240_000;

/** Whether a program can be run; with its arguments it must end with 0. */
function has(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore', timeout: lookMaxMs }).status === 0;
}

/** What files of this folder need, and how to see that it is there. */
const programs = {
  kubectl: () => has('kubectl', 'version', '--client'),
  helm: () => has('helm', 'version'),
  go: () => has('go', 'version'),
  'go modules': () => has('go', '-C', controllerSource, 'mod', 'download'),
  python3: () => has('python3', '-c', 'import venv, ensurepip'),
  'apt mirrors': () =>
    has('apt-get', 'download', '--print-uris', 'busybox-static') && has('dpkg-deb', '--version'),
  'docker-registry': () => has('docker-registry', '--version'),
  skopeo: () => has('skopeo', '--version'),
  umoci: () => has('umoci', '--version'),
} as const;

/** Tests that need more than Node.js; without it one skipped test says what is missing. */
export function describeWith(
  name: string,
  { needs }: { readonly needs: readonly (keyof typeof programs)[] },
  body: () => void,
): void {
  const missing = needs.find((program) => !programs[program]());
  if (missing === undefined) describe(name, body);
  else test.skip(`${name} (not available: ${missing})`);
}
