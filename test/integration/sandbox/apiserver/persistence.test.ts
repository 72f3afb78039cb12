import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startApiServer } from '#sandbox/apiserver/server.js';
import { KubeClient } from '#base/kube/client.js';
import { createLogger } from '#base/telemetry/log.js';
import { localKubelet } from './api-under-test.js';

test('objects, CRDs and keys survive a restart', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'meshctl-state-'));
  const start = () =>
    startApiServer({
      listeners: [{ kind: 'address', host: '127.0.0.1', port: 0 }],
      advertise: { host: '127.0.0.1', port: 6443 },
      pkiDirectory: join(directory, 'pki'),
      stateFile: join(directory, 'state.json'),
      kubelet: localKubelet,
      logger: createLogger('apiserver-test'),
    });
  try {
    const first = await start();
    const admin = await first.issue('admin', ['system:masters']);
    const client = (port: number | undefined) =>
      new KubeClient({
        server: `https://127.0.0.1:${port}`,
        ca: first.caPem,
        cert: admin.certPem,
        key: admin.keyPem,
      });
    await client(first.ports[0]).request({
      method: 'POST',
      path: '/api/v1/namespaces',
      body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'kept' } },
    });
    await client(first.ports[0]).request({
      method: 'POST',
      path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      body: {
        apiVersion: 'apiextensions.k8s.io/v1',
        kind: 'CustomResourceDefinition',
        metadata: { name: 'things.example.com' },
        spec: {
          group: 'example.com',
          scope: 'Cluster',
          names: { plural: 'things', kind: 'Thing' },
          versions: [
            { name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } },
          ],
        },
      },
    });
    const proxyAuthority = async (port: number | undefined): Promise<unknown> => {
      const path = '/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication';
      const { data } = await client(port).request<{ data?: Record<string, string> }>({ method: 'GET', path });
      return data?.['requestheader-client-ca-file'];
    };
    const authority = await proxyAuthority(first.ports[0]);
    expect(authority).toContain('BEGIN CERTIFICATE');
    await first.close();
    const second = await start();
    try {
      // Aggregated servers go on trusting the way from here, too.
      expect(await proxyAuthority(second.ports[0])).toBe(authority);
      // The old certificate still counts: the authority was kept.
      const again = client(second.ports[0]);
      await expect(again.request({ method: 'GET', path: '/api/v1/namespaces/kept' })).resolves.toMatchObject({
        metadata: { name: 'kept' },
      });
      await expect(
        again.request({ method: 'GET', path: '/apis/example.com/v1/things' }),
      ).resolves.toMatchObject({
        kind: 'ThingList',
      });
    } finally {
      await second.close();
    }
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
