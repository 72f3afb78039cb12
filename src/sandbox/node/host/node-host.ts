import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { MeshError } from '#base/errors/mesh-error.js';
import { openNetns } from '#base/system/netns.js';
import { type RunResult, run } from '#base/system/run.js';
import { kernelFileSystems, readOnly } from './bwrap-flags.js';
import { hostProgramArgs, prepareNodeRootfs } from './node-rootfs.js';
import { childrenOf } from './process-tree.js';

/** Where a node shows the product's own files to the containers it starts. */
export const meshctlFolder = '/var/lib/meshctl';
/** Where a node sees the store of loaded images. */
export const loadedImagesFolder = `${meshctlFolder}/loaded-images`;

const startTimeoutMs = 30_000;

/**
 * Pid 1 of a node: makes its mounts shared (so that `HostToContainer` volumes see
 * later mounts), prepares what every node has, and then reaps orphans for ever: the
 * shell collects any child while it waits.
 */
const initScript = [
  'umount /proc/sys 2>/dev/null',
  'mount --make-rshared / || exit 1',
  'for f in /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding; do echo 1 > $f; done 2>/dev/null',
  // Looking for another owner of each IPv6 address would keep it unusable for a second; nobody else is here.
  'for f in /proc/sys/net/ipv6/conf/*/accept_dad; do echo 0 > $f; done 2>/dev/null',
  // Node ports answer on loopback too, as kube-proxy has it.
  'echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet',
  // Two paths lead to a pod when a service address was translated; strict filtering would drop one.
  'for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 0 > $f; done 2>/dev/null',
  'mkdir -p /run/netns /run/kubelet && mount --bind /run/netns /run/netns && mount --make-rshared /run/netns',
  'echo ready',
  'exec >/dev/null',
  'while :; do sleep infinity & wait $!; done',
].join('\n');

export interface NodeHostOptions {
  readonly name: string;
  /** Its addresses, for its /etc/hosts; whoever starts the node sets them up. */
  readonly ips: readonly string[];
  /** Folder on the host that holds the node's file system. */
  readonly rootfs: string;
  readonly cniPluginDir: string;
  /** Address of the cluster's DNS, for programs of the node itself. */
  readonly nameserver: string;
  /** Folder with package.json, bin, dist, templates, node_modules. */
  readonly packageRoot: string;
  readonly nodeBinary: string;
  /** Folder that holds what built-in images add to the host's programs. */
  readonly imagesDir: string;
  /** The store of loaded images. */
  readonly loadedImagesDir: string;
}

/** Which of the node's namespaces a command joins; the mount, pid, uts and ipc namespaces always. */
export interface EnterOptions {
  /** Path, on the node, of the network namespace; default: the node's own. */
  readonly netns?: string | undefined;
  /** As `netns`, for the ipc namespace. */
  readonly ipc?: string | undefined;
  /** As `netns`, for the uts namespace. */
  readonly uts?: string | undefined;
  /** A process, as the supervisor sees it, whose pid namespace is joined; default: the node's own. */
  readonly pidOf?: number | undefined;
}

/**
 * One machine of the embedded cluster: its own network, mount, pid, uts and ipc
 * namespaces and its own file system. Starting -> running -> stopped; a stopped
 * node is started again as a new object on the same folder.
 */
export class NodeHost {
  readonly name: string;
  /** The node's pid 1, as the supervisor sees it. */
  readonly initPid: number;
  /** An open fd of the node's network namespace, until {@link close}. */
  readonly netns: number;
  /** Resolves when the node's pid 1 is gone, for whatever reason. */
  readonly stopped: Promise<void>;
  readonly #options: NodeHostOptions;
  readonly #process: ChildProcess;
  #isNetnsOpen = true;

  private constructor(options: NodeHostOptions, child: ChildProcess, initPid: number) {
    this.name = options.name;
    this.initPid = initPid;
    this.netns = openNetns(`/proc/${initPid}/ns/net`);
    this.#options = options;
    this.#process = child;
    this.stopped = new Promise((resolve) => {
      child.once('exit', () => resolve());
      if (child.exitCode !== null || child.signalCode !== null) resolve();
    });
  }

  /** Creates the namespaces; rejects with MESH0802 when the kernel or bubblewrap refuses. */
  static async start(options: NodeHostOptions): Promise<NodeHost> {
    await mkdir(options.rootfs, { recursive: true });
    await mkdir(options.loadedImagesDir, { recursive: true, mode: 0o700 });
    await prepareNodeRootfs(options.rootfs, options);
    const child = spawn('bwrap', nodeArgs(options), { stdio: ['ignore', 'pipe', 'pipe'] });
    const output = await firstOutput(child);
    const initPid = child.pid === undefined ? undefined : childrenOf(child.pid)[0];
    if (!output.startsWith('ready') || initPid === undefined) {
      child.kill('SIGKILL');
      throw new MeshError('MESH0802', `node ${options.name} could not be started`, { evidence: output });
    }
    return new NodeHost(options, child, initPid);
  }

  /** The node's file system on the host's disk; /run, /proc, /dev and /sys are not in it. */
  get rootfs(): string {
    return this.#options.rootfs;
  }

  /** A path of the node as the supervisor reaches it, mounts included. */
  path(nodePath: string): string {
    return join(`/proc/${this.initPid}/root`, nodePath);
  }

  /** The command line that runs `command` inside the node. */
  command(command: readonly string[], o: EnterOptions = {}): [file: string, args: string[]] {
    const flag = (name: string, path: string | undefined): string =>
      path === undefined ? `--${name}` : `--${name}=${this.path(path)}`;
    const pid = o.pidOf === undefined ? '--pid' : `--pid=/proc/${o.pidOf}/ns/pid`;
    const args = ['--target', String(this.initPid), '--mount', pid].concat(
      flag('uts', o.uts),
      flag('ipc', o.ipc),
      flag('net', o.netns),
    );
    return ['nsenter', [...args, '--', ...command]];
  }

  spawn(command: readonly string[], o: EnterOptions & SpawnOptions = {}): ChildProcess {
    const { netns, ...spawnOptions } = o;
    const [file, args] = this.command(command, { netns });
    return spawn(file, args, spawnOptions);
  }

  run(
    command: readonly string[],
    o: EnterOptions & {
      input?: string;
      timeoutMs?: number;
      env?: Readonly<Record<string, string>>;
      signal?: AbortSignal;
    } = {},
  ): Promise<RunResult> {
    const { netns, ...runOptions } = o;
    const [file, args] = this.command(command, { netns });
    return run(file, args, runOptions);
  }

  /** Ends every process on the node. Idempotent. */
  async stop(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.stopped;
  }

  /** Lets go of the network namespace, once the node has stopped and nobody uses {@link netns} any more. Idempotent. */
  close(): void {
    if (this.#isNetnsOpen) closeSync(this.netns);
    this.#isNetnsOpen = false;
  }
}

function nodeArgs(o: NodeHostOptions): string[] {
  const namespaces = ['--unshare-pid', '--unshare-uts', '--unshare-net', '--unshare-ipc'];
  const environment = ['--clearenv', '--setenv', 'PATH', '/usr/sbin:/usr/bin:/sbin:/bin'];
  return ['--die-with-parent', '--as-pid-1', '--hostname', o.name, '--chdir', '/'].concat(
    namespaces,
    ['--bind', o.rootfs, '/'],
    hostProgramArgs(),
    kernelFileSystems,
    ['--tmpfs', '/run'],
    readOnly(o.packageRoot, `${meshctlFolder}/package`),
    readOnly(o.imagesDir, `${meshctlFolder}/images`),
    readOnly(o.loadedImagesDir, loadedImagesFolder),
    readOnly(o.nodeBinary, `${meshctlFolder}/node`),
    environment,
    ['--', 'sh', '-c', initScript],
  );
}

/** The first words of a process, or what it said on standard error before it ended. */
function firstOutput(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let errors = '';
    const timer = setTimeout(
      () => resolve(`no answer within ${startTimeoutMs} ms ${errors}`),
      startTimeoutMs,
    );
    child.stderr?.on('data', (data: Buffer) => {
      if (errors.length < 4096) errors += data.toString();
    });
    child.stdout?.once('data', (data: Buffer) => {
      clearTimeout(timer);
      resolve(data.toString());
    });
    child.once('exit', () => {
      clearTimeout(timer);
      resolve(errors);
    });
    child.once('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
  });
}
