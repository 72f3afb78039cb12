import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import { describe, test } from 'vitest';
import { readLock } from '../../scripts/images/lock.js';

/** Source of the controller that is built here. */
export const controllerSource = resolve('test/interop/controller-runtime');

const lookMaxMs = 240_000;

/** Whether a program can be run; with its arguments it must end with 0. */
function has(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore', timeout: lookMaxMs }).status === 0;
}

/** Whether apt's mirrors answer, and still have the versions that the images are made of. */
function hasLockedPackages(): boolean {
  const packages = readLock()?.packages[process.arch === 'arm64' ? 'arm64' : 'amd64'] ?? {};
  const exact = Object.entries(packages).map(([name, { version }]) => `${name}=${version}`);
  const script = 'd=$(mktemp -d) && cd "$d" && apt-get -qq download dash; code=$?; rm -rf "$d"; exit $code';
  return has('apt-get', 'download', '--print-uris', ...exact) && has('sh', '-c', script);
}

/** What files of this folder need, and how to see that it is there. */
const programs = {
  kubectl: () => has('kubectl', 'version', '--client'),
  helm: () => has('helm', 'version'),
  go: () => has('go', 'version'),
  'go modules': () => has('go', '-C', controllerSource, 'mod', 'download'),
  python3: () => has('python3', '-c', 'import venv, ensurepip'),
  'apt mirrors with the locked packages': hasLockedPackages,
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
