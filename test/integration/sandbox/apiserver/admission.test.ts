import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { KubeClient } from '#base/kube/client.js';
import {
  configMaps,
  namespaces,
  pods,
  type Resource,
  resourceQuotas,
  serviceAccounts,
} from '#base/kube/resource.js';
import type { KubeObject, Pod } from '#base/kube/types.js';
import { startApiServer } from '#sandbox/apiserver/server.js';
import type { ApiServer } from '#sandbox/base/api-server.js';
import { createLogger, setLogOutput } from '#base/telemetry/log.js';
import { localKubelet } from './api-under-test.js';

const configurations: Resource = {
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  plural: 'validatingwebhookconfigurations',
  kind: 'ValidatingWebhookConfiguration',
  isNamespaced: false,
};

describe('admission of the embedded API server', () => {
  const directory = mkdtempSync(join(tmpdir(), 'meshctl-admission-'));
  let api: ApiServer | undefined;
  let client: KubeClient | undefined;

  async function start(options: {
    stateFile?: string;
    limitedPriorityClasses?: readonly string[];
  }): Promise<KubeClient> {
    setLogOutput(() => undefined);
    api = await startApiServer({
      listeners: [{ kind: 'address', host: '127.0.0.1', port: 0 }],
      advertise: { host: '127.0.0.1', port: 6443 },
      kubelet: localKubelet,
      logger: createLogger('apiserver-test'),
      ...options,
    });
    client = new KubeClient(await api.connect('system:admin', ['system:masters']));
    return client;
  }
  async function stop(): Promise<void> {
    client?.close();
    await api?.close();
    api = undefined;
  }
  afterEach(async () => {
    await stop();
    rmSync(directory, { recursive: true, force: true });
  });

  const configMap: KubeObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' } };

  test('a pod waits for the default account of a namespace that came just before it, for no other', async () => {
    const c = await start({});
    await c.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'fresh' } });
    const at = { namespace: 'fresh' };
    const pod = (name: string, serviceAccountName = ''): Pod => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: { containers: [{ name: 'c', image: 'i' }], serviceAccountName },
    });
    const early = c.create<Pod>(pods, pod('early'), at);
    await expect(c.create(pods, pod('other', 'missing'), at)).rejects.toThrow('"missing" not found');
    await c.create(
      serviceAccounts,
      { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default' } },
      at,
    );
    expect((await early).spec).toMatchObject({ serviceAccountName: 'default', volumes: [{}] });
  });

  test('a webhook that is not there refuses writes, but not the start of the server', async () => {
    const stateFile = join(directory, 'state.json');
    const all = { apiGroups: ['*'], apiVersions: ['*'], resources: ['*/*'], operations: ['*'] };
    const configuration = {
      ...configMap,
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingWebhookConfiguration',
      metadata: { name: 'closed' },
      webhooks: [
        {
          name: 'closed.example.com',
          sideEffects: 'None',
          admissionReviewVersions: ['v1'],
          clientConfig: { service: { namespace: 'default', name: 'gone' } },
          rules: [all],
        },
      ],
    };
    const first = await start({ stateFile });
    await first.create(configurations, configuration);
    await stop();
    const again = await start({ stateFile });
    await expect(again.create(configMaps, configMap, { namespace: 'default' })).rejects.toThrow(
      'failed calling webhook "closed.example.com": failed to call webhook: Post "https://gone.default.svc:443/?timeout=10s": service "gone" not found',
    );
    await again.delete({ resource: configurations, name: 'closed' });
    await again.create(configMaps, configMap, { namespace: 'default' });
  });

  test('priority classes can be limited to namespaces with a quota for them', async () => {
    const kube = await start({ limitedPriorityClasses: ['system-node-critical', 'system-cluster-critical'] });
    const namespace = 'critical';
    await kube.create(namespaces, { ...configMap, kind: 'Namespace', metadata: { name: namespace } });
    await kube.create(
      serviceAccounts,
      { ...configMap, kind: 'ServiceAccount', metadata: { name: 'default' } },
      { namespace },
    );
    const pod = (name: string): KubeObject & { spec: unknown } => ({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name },
      spec: { priorityClassName: 'system-node-critical', containers: [{ name: 'c', image: 'x' }] },
    });
    await expect(kube.create(pods, pod('a'), { namespace })).rejects.toThrow(
      'pods "a" is forbidden: insufficient quota to match these scopes: [{PriorityClass In [system-node-critical system-cluster-critical]}]',
    );
    const quota = {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'critical' },
      spec: {
        hard: { pods: '1' },
        scopeSelector: {
          matchExpressions: [
            { scopeName: 'PriorityClass', operator: 'In', values: ['system-node-critical'] },
          ],
        },
      },
    };
    await kube.create(resourceQuotas, quota, { namespace });
    await kube.create(pods, pod('b'), { namespace });
    await expect(kube.create(pods, pod('c'), { namespace })).rejects.toThrow('exceeded quota: critical');
  });
});
