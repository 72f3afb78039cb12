import { chmodSync, cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

/** Debian's `nobody`: owns nothing and may do nothing. */
const ordinaryUserId = 65_534;
const programVariable = 'MESHCTL_TEST_PROGRAM';
/** What of the project meshctl needs to run. */
const programParts = [
  'package.json',
  'bin',
  'dist',
  'templates',
  'node_modules/koffi',
  'node_modules/@koromix',
];

/** Whether root's tests run meshctl, and with it every sandbox, as a user without any rights. */
export function isOrdinaryRun(): boolean {
  const user = process.env['MESHCTL_TEST_USER'] ?? '';
  if (!['', 'root', 'ordinary'].includes(user))
    throw new Error(`MESHCTL_TEST_USER is root or ordinary, not ${user}`);
  const isRoot = process.getuid?.() === 0;
  if (user === 'root' && !isRoot)
    throw new Error('MESHCTL_TEST_USER=root, but these tests do not run as root');
  return user === 'ordinary' && isRoot;
}

/** How to start meshctl as the user of the tests. */
export function meshctlCommand(): [program: string, ...args: string[]] {
  if (!isOrdinaryRun()) return [process.execPath, resolve('bin/meshctl.js')];
  const copy = process.env[programVariable];
  if (copy === undefined) throw new Error(`${programVariable} is not set: this run has no global setup`);
  return [...asOrdinaryUser(), process.execPath, join(copy, 'bin/meshctl.js')];
}

/** Puts in front of a command what makes it run without any rights. */
export function asOrdinaryUser(): [program: string, ...args: string[]] {
  return ['setpriv', `--reuid=${ordinaryUserId}`, `--regid=${ordinaryUserId}`, '--clear-groups', '--'];
}

/** Makes a folder in which the user of the tests can do everything; who makes it removes it. */
export function makeTestFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'meshctl-e2e-'));
  chmodSync(folder, 0o777);
  return folder;
}

/**
 * Vitest's global setup: the folder of the project may be anybody's, so the program is copied to one that
 * everybody can read. Returns what removes it.
 */
export default function setUp(): (() => void) | undefined {
  if (!isOrdinaryRun()) return undefined;
  const copy = mkdtempSync(join(tmpdir(), 'meshctl-program-'));
  chmodSync(copy, 0o755);
  for (const part of programParts) cpSync(part, join(copy, part), { recursive: true });
  process.env[programVariable] = copy;
  return () => rmSync(copy, { recursive: true, force: true });
}
