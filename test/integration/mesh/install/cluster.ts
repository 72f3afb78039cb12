import { KubeClient } from '#base/kube/client.js';
import { namespaces } from '#base/kube/resource.js';
import { applyPlan, type InstallPlan, planInstallation } from '#mesh/install/installer.js';
import type { ValuesRequest } from '#mesh/install/values/effective.js';
import { Notes } from '../../../harness/notes.js';
import { ApiUnderTest } from '../../sandbox/apiserver/api-under-test.js';

export const meshNamespace = 'istio-system';
const version = '9.9.9';

/** An API server without nodes: objects are real, nothing runs. */
export class ClusterUnderTest {
  readonly client: KubeClient;
  readonly api: ApiUnderTest;
  readonly notes = new Notes();
  readonly signal = new AbortController().signal;

  private constructor(api: ApiUnderTest, client: KubeClient) {
    this.api = api;
    this.client = client;
  }

  static async start(o: Parameters<typeof ApiUnderTest.start>[0] = {}): Promise<ClusterUnderTest> {
    const api = await ApiUnderTest.start(o);
    return new ClusterUnderTest(api, await KubeClient.fromKubeconfig({ kubeconfig: api.kubeconfig }));
  }

  async stop(): Promise<void> {
    this.client.close();
    await this.api.stop();
  }

  plan(values: ValuesRequest = {}, force = false): Promise<InstallPlan> {
    return planInstallation({
      client: this.client,
      namespace: meshNamespace,
      values,
      clientVersion: version,
      force,
      signal: this.signal,
    });
  }

  /** Installs without waiting for pods, which nobody runs here. */
  async install(values: ValuesRequest = {}): Promise<InstallPlan> {
    const plan = await this.plan(values);
    await applyPlan(plan, {
      client: this.client,
      clientVersion: version,
      timeoutMs: undefined,
      signal: this.signal,
      reporter: this.notes,
    });
    return plan;
  }

  async namespace(name: string, labels: Record<string, string> = {}): Promise<void> {
    await this.client.create(namespaces, {
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name, labels },
    });
  }
}
