import { accessSync, constants, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { MeshError, messageOf } from '../../../errors/mesh-error.js';
import { run } from '../../../system/run.js';

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
  const [version, etcdVersion] = await Promise.all([
    versionOf(kubeApiserver, { pattern: /^Kubernetes v(\d+\.\d+\.\d+\S*)/m, oldest: oldest.kubeApiserver }),
    versionOf(etcd, { pattern: /^etcd Version: (\d+\.\d+\.\d+\S*)/m, oldest: oldest.etcd }),
  ]);
  return { kubeApiserver, etcd, version: `v${version}`, etcdVersion };
}

async function versionOf(program: string, o: { pattern: RegExp; oldest: string }): Promise<string> {
  try {
    accessSync(program, constants.X_OK);
    if (!statSync(program).isFile()) throw new Error(`${program} is not a file`);
  } catch (error) {
    throw new MeshError('MESH0809', `${program} is missing or not executable`, {
      evidence: messageOf(error),
      hint: fix,
      cause: error,
    });
  }
  const result = await run(program, ['--version']).catch((error: unknown) => ({
    stdout: '',
    stderr: messageOf(error),
    exitCode: 1,
  }));
  const version = o.pattern.exec(result.stdout)?.[1];
  if (version === undefined) {
    throw new MeshError('MESH0809', `${program} does not say its version`, {
      evidence: `${program} --version ended with ${result.exitCode}: ${(result.stdout + result.stderr).trim().slice(0, 500)}`,
      hint: fix,
    });
  }
  if (isOlder(version, o.oldest)) {
    throw new MeshError('MESH0809', `${program} is version ${version}, older than ${o.oldest}`, {
      hint: fix,
    });
  }
  return version;
}

/** Compares major and minor numbers. */
function isOlder(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [oldestMajor = 0, oldestMinor = 0] = than.split('.').map(Number);
  return major < oldestMajor || (major === oldestMajor && minor < oldestMinor);
}
