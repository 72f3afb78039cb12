import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { MeshError, type MeshErrorOptions, messageOf } from '#base/errors/mesh-error.js';
import { run } from '#base/system/run.js';
import { obstacleOf } from './executable-format.js';

/** The variable that names a folder with the programs `kube-apiserver` and `etcd`, as envtest uses it. */
export const assetsVariable = 'KUBEBUILDER_ASSETS';

/** Programs of a real control plane, found executable and new enough. */
export interface ControlPlaneAssets {
  readonly kubeApiserver: string;
  readonly etcd: string;
  /** Of kube-apiserver: `v1.32.13`. */
  readonly version: string;
  /** Of etcd: `3.5.16`. */
  readonly etcdVersion: string;
}

const oldest = { kubeApiserver: '1.30', etcd: '3.4' } as const;
const fix = `Put kube-apiserver (${oldest.kubeApiserver} or newer) and etcd (${oldest.etcd} or newer) into one folder and set ${assetsVariable} to it, or unset ${assetsVariable} to use the embedded API server.`;

/** The folder named by the environment; undefined when none is asked for. */
export function assetsFolder(env: NodeJS.ProcessEnv = process.env): string | undefined {
  const folder = env[assetsVariable];
  return folder === undefined || folder === '' ? undefined : resolve(folder);
}

/** Looks at the programs in a folder. Throws MESH0809 when one is missing, cannot run, or is too old. */
export async function findAssets(folder: string): Promise<ControlPlaneAssets> {
  const kubeApiserver = join(folder, 'kube-apiserver');
  const etcd = join(folder, 'etcd');
  assertFolder(folder);
  const [version, etcdVersion] = await Promise.all([
    versionOf(kubeApiserver, { pattern: /^Kubernetes v(\d+\.\d+\.\d+\S*)/m, oldest: oldest.kubeApiserver }),
    versionOf(etcd, { pattern: /^etcd Version: (\d+\.\d+\.\d+\S*)/m, oldest: oldest.etcd }),
  ]);
  return { kubeApiserver, etcd, version: `v${version}`, etcdVersion };
}

async function versionOf(program: string, o: { pattern: RegExp; oldest: string }): Promise<string> {
  assertExecutable(program);
  const result = await run(program, ['--version']).catch((error: unknown) => ({
    stdout: '',
    stderr: messageOf(error),
    exitCode: 1,
  }));
  const version = o.pattern.exec(result.stdout)?.[1];
  if (version === undefined) {
    // Looked at only now: with binfmt_misc a machine runs more than its own programs.
    const obstacle = obstacleOf(program);
    if (obstacle !== undefined) throw unusable(`${program} ${obstacle}`);
    throw unusable(`${program} does not say its version`, {
      evidence: `${program} --version ended with ${result.exitCode}: ${(result.stdout + result.stderr).trim().slice(0, 500)}`,
    });
  }
  if (version.startsWith(unlabeled)) {
    throw unusable(`${program} was built without its version`, {
      evidence: `it calls itself ${version}`,
      hint: `Build it with its version, as go build -ldflags '-X k8s.io/component-base/version.gitVersion=v1.32.0'. ${fix}`,
    });
  }
  if (isOlder(version, o.oldest)) throw unusable(`${program} is version ${version}, older than ${o.oldest}`);
  return version;
}

/** What kube-apiserver calls itself when nobody told the linker: every client would take it for an old one. */
const unlabeled = '0.0.0';

function assertFolder(folder: string): void {
  let isFolder: boolean;
  try {
    isFolder = statSync(folder).isDirectory();
  } catch (error) {
    const evidence = messageOf(error);
    throw unusable(`${assetsVariable} names ${folder}, which cannot be read`, { evidence, cause: error });
  }
  if (!isFolder) throw unusable(`${assetsVariable} names ${folder}, which is not a folder`);
}

function assertExecutable(program: string): void {
  try {
    accessSync(program, constants.F_OK);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
    const what = `${program} ${isMissing ? 'is missing' : 'cannot be reached'}`;
    throw unusable(what, { evidence: messageOf(error), cause: error });
  }
  if (!statSync(program).isFile()) throw unusable(`${program} is not a file`);
  try {
    accessSync(program, constants.R_OK | constants.X_OK);
  } catch (error) {
    throw unusable(`${program} is not executable`, {
      evidence: messageOf(error),
      hint: `chmod +rx ${program}   # its file system must not be mounted with noexec either`,
      cause: error,
    });
  }
}

function unusable(message: string, o: MeshErrorOptions = {}): MeshError {
  return new MeshError('MESH0809', message, { hint: fix, ...o });
}

/** Compares major and minor numbers. */
function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = than.split('.').map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}
