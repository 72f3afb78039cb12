import { type Invocation, runInProcess } from '../../../harness/in-process.js';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KubeClient } from '#base/kube/client.js';
import { ApiUnderTest } from '../../sandbox/apiserver/api-under-test.js';

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
  meshctl(...args: string[]): Promise<Invocation> {
    return runInProcess(['--kubeconfig', this.api.kubeconfig, ...args]);
  }

  file(text: string): string {
    const path = join(this.#folder, `${Math.random()}.yaml`);
    writeFileSync(path, text);
    return path;
  }
}
