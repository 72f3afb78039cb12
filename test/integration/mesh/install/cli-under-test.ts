import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCli } from '#cli/main.js';
import { KubeClient } from '#base/kube/client.js';
import { ApiUnderTest } from '../../sandbox/apiserver/api-under-test.js';

/** What an invocation printed, and its exit code. */
export interface Invocation {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** An API server, a client and the CLI pointed at it. No nodes: DaemonSets have no pods and are ready. */
export class CliUnderTest {
  readonly client: KubeClient;
  readonly api: ApiUnderTest;
  readonly #folder = mkdtempSync(join(tmpdir(), 'meshctl-install-'));

  private constructor(api: ApiUnderTest, client: KubeClient) {
    this.api = api;
    this.client = client;
  }

  static async start(): Promise<CliUnderTest> {
    const api = await ApiUnderTest.start();
    return new CliUnderTest(api, await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig }));
  }

  async stop(): Promise<void> {
    this.client.close();
    rmSync(this.#folder, { recursive: true });
    await this.api.stop();
  }

  /** Runs meshctl as a pipeline would: no terminal. */
  async meshctl(...args: string[]): Promise<Invocation> {
    let stdout = '';
    let stderr = '';
    const io = {
      stdout: (text: string) => void (stdout += text),
      stderr: (text: string) => void (stderr += text),
      isInteractive: false,
      isStdoutTty: false,
      signals: () => () => undefined,
      env: {},
    };
    const signal = new AbortController().signal;
    const code = await runCli({ args: ['--kubeconfig', this.api.kubeconfig, ...args], io, signal });
    return { code, stdout, stderr };
  }

  file(text: string): string {
    const path = join(this.#folder, `${Math.random()}.yaml`);
    writeFileSync(path, text);
    return path;
  }
}
