import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A CNI command as it came back. */
export interface PluginRun {
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly json: Record<string, unknown>;
  readonly tookMs: number;
}

/**
 * The root of a node that has nothing but the kernel: empty folders. The agent's view of it is the same paths from
 * outside, so what the agent calls its run directory is there for the plugin too.
 */
export class TestNodeRoot {
  readonly dir = mkdtempSync(join(tmpdir(), 'cni-node-'));
  readonly root = join(this.dir, 'root');
  readonly hostBinDir = '/opt/cni/bin';
  readonly binDir = join(this.root, 'opt/cni/bin');
  readonly runDir = join(this.dir, 'run');
  /** Where the run directory really is. */
  readonly runDirInside = join(this.root, this.dir, 'run');

  constructor() {
    mkdirSync(this.binDir, { recursive: true });
    mkdirSync(this.runDirInside, { recursive: true });
    symlinkSync(this.runDirInside, this.runDir);
  }

  /** Runs the plugin as a container runtime on this node does: nothing of the machine can be seen. */
  run(env: Readonly<Record<string, string>>, stdin: string | Buffer): Promise<PluginRun> {
    const startedAt = performance.now();
    return new Promise((resolve, reject) => {
      const child = spawn('/usr/sbin/chroot', [this.root, `${this.hostBinDir}/istio-cni`], {
        env: { ...env },
        stdio: ['pipe', 'pipe', 'inherit'],
      });
      const chunks: Buffer[] = [];
      child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
      child.stdin.on('error', () => undefined);
      child.on('error', reject);
      child.on('close', (exitCode) => {
        const tookMs = performance.now() - startedAt;
        const stdout = Buffer.concat(chunks).toString('utf8');
        const json = stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>);
        resolve({ exitCode, stdout, json, tookMs });
      });
      child.stdin.end(stdin);
    });
  }

  /** ADD of a pod, with what a runtime says about it. */
  add(
    namespace: string,
    name: string,
    stdin: string | Buffer,
    extra: Record<string, string> = {},
  ): Promise<PluginRun> {
    const env = {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: 'c1',
      CNI_NETNS: '/var/run/netns/cni-1',
      CNI_IFNAME: 'eth0',
      CNI_PATH: this.hostBinDir,
      CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}`,
      ...extra,
    };
    return this.run(env, stdin);
  }

  remove(): void {
    rmSync(this.dir, { recursive: true, force: true });
  }
}
