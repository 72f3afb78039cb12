import { createHash } from 'node:crypto';
import { homedir, tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

/** Where the files of one sandbox are. */
export interface SandboxPaths {
  readonly name: string;
  readonly folder: string;
  /** Facts about the running instance, written by the launcher: {@link SandboxRecord}. */
  readonly record: string;
  /** Input of the supervisor. */
  readonly config: string;
  readonly log: string;
  readonly kubeconfig: string;
  /** Unix socket of the supervisor. */
  readonly control: string;
  /** The program files as they were at `up`: a rebuild does not change a running sandbox. */
  readonly packageRoot: string;
  /** What built-in images add to the host's programs. */
  readonly images: string;
  /** Images loaded from archives. */
  readonly loadedImages: string;
  /** A folder for each node's file system. */
  readonly nodes: string;
  /** Which nodes there are; the supervisor's while it runs. */
  readonly nodeList: string;
  /** What the API server keeps: objects and keys. */
  readonly data: string;
}

/** What a sandbox is called unless its user says otherwise. */
export const defaultSandboxName = 'default';

/** sun_path is 108 bytes with its terminator. */
const socketPathMaxBytes = 107;

/** The folder that holds all sandboxes of this user. */
export function sandboxBaseFolder(env: NodeJS.ProcessEnv = process.env): string {
  const state = env['XDG_STATE_HOME'];
  const base = state !== undefined && state.startsWith('/') ? state : join(homedir(), '.local/state');
  return join(base, 'meshctl/sandbox');
}

export function sandboxPaths(name: string, base: string = sandboxBaseFolder()): SandboxPaths {
  const folder = join(base, name);
  const at = (file: string): string => join(folder, file);
  return {
    name,
    folder,
    record: at('sandbox.json'),
    config: at('supervisor.json'),
    log: at('supervisor.log'),
    kubeconfig: at('kubeconfig'),
    control: controlPath(folder),
    packageRoot: at('package'),
    images: at('images'),
    loadedImages: at('loaded-images'),
    nodes: at('nodes'),
    nodeList: at('nodes.json'),
    data: at('data'),
  };
}

function controlPath(folder: string): string {
  const inFolder = join(folder, 'control.sock');
  if (Buffer.byteLength(inFolder) <= socketPathMaxBytes) return inFolder;
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 16);
  return join(tmpdir(), `meshctl-${userInfo().uid}-${hash}.sock`);
}
