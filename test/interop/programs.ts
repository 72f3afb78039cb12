import { spawnSync } from 'node:child_process';
import { describe, test } from 'vitest';

/** Whether a program can be run; with its arguments it must end with 0. */
function has(program: string, ...args: string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0;
}

/** The programs that files of this folder need, and how to see that they are there. */
const programs = {
  kubectl: () => has('kubectl', 'version', '--client'),
  helm: () => has('helm', 'version'),
  go: () => has('go', 'version'),
  python3: () => has('python3', '-c', 'import venv, ensurepip'),
} as const;

/** Tests that need programs besides Node.js; without them one skipped test says which are missing. */
export function describeWith(
  name: string,
  { needs }: { readonly needs: readonly (keyof typeof programs)[] },
  body: () => void,
): void {
  const missing = needs.filter((program) => !programs[program]());
  if (missing.length === 0) describe(name, body);
  else test.skip(`${name} (not installed: ${missing.join(', ')})`);
}
