import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeClient } from '#base/kube/client.js';
import { meshctl } from '../../test/harness/meshctl.js';
import type { Measurements } from './measurements.js';
import { type ProcessMemory, megabytes, memoryOfTree } from './memory.js';
import { deployWorkload, namespaceOf, settle } from './workload.js';

const name = 'bench';

/** Entries of the mesh components in their images -> name of the measurement. */
const components = {
  'memory controller': '/meshd.js',
  'memory ztunnels': '/ztunnel.js',
  'memory CNI agents': '/mesh-cni.js',
  'memory waypoint': '/gateway.js',
};

/** The cluster of the run: with a state folder and a kubeconfig of its own, away from the user's. */
export class BenchSandbox {
  readonly #dir = mkdtempSync(join(tmpdir(), 'meshctl-bench-'));
  readonly #signal: AbortSignal;
  #client: KubeClient | undefined;
  #kubeconfig = '';
  #pid = 0;

  /** @param signal once aborted, no further command of meshctl starts, except for taking the sandbox down */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
    chmodSync(this.#dir, 0o755);
  }

  get client(): KubeClient {
    if (this.#client === undefined) throw new Error('the sandbox is not up');
    return this.#client;
  }

  /** From nothing to a namespace behind a waypoint; leaves the sandbox up with all paths in place. */
  async measureLifecycle(measurements: Measurements): Promise<void> {
    const timed = async (measurement: string, ...commands: readonly (readonly string[])[]) => {
      const startedAt = performance.now();
      for (const command of commands) await this.meshctl(command);
      measurements.record(measurement, (performance.now() - startedAt) / 1000);
    };
    await timed('sandbox up', ['sandbox', 'up', '--name', name, '--nodes', '2', '--no-kubeconfig']);
    const status = JSON.parse(
      await this.meshctl(['sandbox', 'status', '--name', name, '-o', 'json']),
    ) as SandboxStatus;
    this.#pid = status.pid;
    this.#kubeconfig = status.kubeconfigPath;
    this.#client = await KubeClient.fromKubeconfig({ kubeconfig: this.#kubeconfig });
    await settle();
    measurements.record('memory sandbox', megabytes(this.#memory()));

    await timed('node add', ['sandbox', 'node', 'add', 'extra', '--name', name]);
    await this.meshctl(['sandbox', 'node', 'remove', 'extra', '--name', name]);

    await timed('install', ['install', '--profile', 'ambient'], ['verify-install']);
    await deployWorkload(this.client);
    await timed('enroll', ['enroll', namespaceOf('enrolled'), '--wait']);
    await this.meshctl(['enroll', namespaceOf('waypoint'), '--wait']);
    await timed('waypoint', [
      'waypoint',
      'apply',
      '-n',
      namespaceOf('waypoint'),
      '--enroll-namespace',
      '--wait',
    ]);
    await settle();
    const memory = this.#memory();
    for (const [measurement, entry] of Object.entries(components)) {
      const isComponent = (args: readonly string[]) =>
        args[0]?.endsWith('/node') === true && args[1]?.endsWith(entry) === true;
      if (!memory.some((p) => isComponent(p.args))) throw new Error(`no process runs ${entry}`);
      measurements.record(measurement, megabytes(memory, isComponent));
    }
  }

  /** Standard output of a meshctl command that must succeed. */
  async meshctl(args: readonly string[]): Promise<string> {
    this.#signal.throwIfAborted();
    const outcome = await meshctl(args, { env: this.#env() });
    if (outcome.exitCode !== 0) {
      throw new Error(
        `meshctl ${args.join(' ')} ended with exit code ${outcome.exitCode}: ${outcome.stderr}${outcome.stdout}`,
      );
    }
    return outcome.stdout;
  }

  /** Takes the sandbox down; it may be brought up again. */
  async down(): Promise<void> {
    this.#client?.close();
    this.#client = undefined;
    const outcome = await meshctl(['sandbox', 'down', '--name', name], { env: this.#env() });
    if (outcome.exitCode !== 0) throw new Error(`the sandbox of the run is still up: ${outcome.stderr}`);
  }

  /** Takes the sandbox down for good, with its folder. */
  async dispose(): Promise<void> {
    await this.down();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #memory(): readonly ProcessMemory[] {
    return memoryOfTree(this.#pid);
  }

  #env(): Readonly<Record<string, string>> {
    return { HOME: this.#dir, XDG_STATE_HOME: join(this.#dir, 'state'), KUBECONFIG: this.#kubeconfig };
  }
}

/** What is read of `sandbox status -o json`. */
interface SandboxStatus {
  /** Ancestor of every process of the sandbox. */
  readonly pid: number;
  readonly kubeconfigPath: string;
}
