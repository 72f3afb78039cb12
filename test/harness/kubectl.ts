import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface KubectlResult {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number;
}

const timeoutMs = 20_000;

/** A folder with a kubeconfig, and the kubectl that uses it and nothing of the user's. */
export class Kubectl {
  readonly kubeconfig: string;
  readonly #directory: string;

  constructor(kubeconfig: string) {
    this.#directory = mkdtempSync(join(tmpdir(), 'meshctl-kubectl-'));
    this.kubeconfig = this.file('kubeconfig', kubeconfig);
  }

  /** Writes a file next to the kubeconfig; returns its path. */
  file(name: string, text: string): string {
    const path = join(this.#directory, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  environment(): NodeJS.ProcessEnv {
    return { ...process.env, KUBECONFIG: this.kubeconfig, KUBECACHEDIR: join(this.#directory, 'cache') };
  }

  /** Runs kubectl; never rejects for a non-zero exit. */
  run(args: readonly string[], input?: string): Promise<KubectlResult> {
    return new Promise((resolve) => {
      const child = execFile(
        'kubectl',
        [...args],
        { env: this.environment(), timeout: timeoutMs },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === 'number' ? error.code : 1;
          resolve({ stdout, stderr, exitCode: code });
        },
      );
      child.stdin?.on('error', () => undefined); // it ended without reading
      child.stdin?.end(input ?? '');
    });
  }

  /** Runs kubectl and returns its output; throws when it fails. */
  async ok(args: readonly string[], input?: string): Promise<string> {
    const result = await this.run(args, input);
    if (result.exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${result.stderr}`);
    return result.stdout;
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
