import { beforeAll, expect, test } from 'vitest';
import type { JsonObject } from '#sandbox/base/json.js';
import { eventually } from '../../harness/cluster.js';
import { describeServers, type RawAnswer } from '../servers.js';

const container = (securityContext: JsonObject = {}, more: JsonObject = {}): JsonObject => ({
  name: 'c',
  image: 'x',
  securityContext,
  ...more,
});
const tight: JsonObject = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};

/** Pod specs with what the baseline and restricted levels say of them; undefined: accepted. */
const cases: readonly (readonly [
  name: string,
  spec: JsonObject,
  baseline: string | undefined,
  restricted: string | undefined,
])[] = [
  [
    'a plain pod',
    { containers: [container()] },
    undefined,
    'allowPrivilegeEscalation != false (container "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
  ],
  ['a tight pod', { containers: [container(tight)] }, undefined, undefined],
  [
    'a tight pod by its pod settings',
    {
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'Localhost', localhostProfile: 'a' } },
      containers: [
        container({
          allowPrivilegeEscalation: false,
          capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] },
        }),
      ],
    },
    undefined,
    undefined,
  ],
  [
    'the host',
    {
      hostNetwork: true,
      hostPID: true,
      containers: [
        container(tight, {
          ports: [
            { containerPort: 80, hostPort: 80 },
            { containerPort: 81, hostPort: 81 },
          ],
        }),
      ],
    },
    'host namespaces (hostNetwork=true, hostPID=true), hostPort (container "c" uses hostPorts 80, 81)',
    'host namespaces (hostNetwork=true, hostPID=true), hostPort (container "c" uses hostPorts 80, 81)',
  ],
  [
    'privileged',
    {
      containers: [container({ privileged: true })],
      initContainers: [
        { ...container({ ...tight, allowPrivilegeEscalation: true, privileged: true }), name: 'i' },
      ],
    },
    'privileged (containers "i", "c" must not set securityContext.privileged=true)',
    'privileged (containers "i", "c" must not set securityContext.privileged=true), allowPrivilegeEscalation != false (containers "i", "c" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
  ],
  [
    'capabilities',
    { containers: [container({ ...tight, capabilities: { drop: ['ALL'], add: ['NET_ADMIN', 'NET_RAW'] } })] },
    'non-default capabilities (container "c" must not include "NET_ADMIN", "NET_RAW" in securityContext.capabilities.add)',
    'unrestricted capabilities (container "c" must not include "NET_ADMIN", "NET_RAW" in securityContext.capabilities.add)',
  ],
  [
    'capabilities without a drop',
    { containers: [container({ ...tight, capabilities: { add: ['CHOWN'] } })] },
    undefined,
    'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"]; container "c" must not include "CHOWN" in securityContext.capabilities.add)',
  ],
  [
    'host paths',
    {
      containers: [container(tight)],
      volumes: [
        { name: 'v', hostPath: { path: '/' } },
        { name: 'n', nfs: { server: 's', path: '/' } },
        { name: 'e', emptyDir: {} },
      ],
    },
    'hostPath volumes (volume "v")',
    'restricted volume types (volumes "v", "n" use restricted volume types "hostPath", "nfs")',
  ],
  [
    'root',
    {
      securityContext: { runAsUser: 0 },
      containers: [container({ ...tight, runAsNonRoot: false, runAsUser: 0 })],
    },
    undefined,
    'runAsNonRoot != true (container "c" must not set securityContext.runAsNonRoot=false), runAsUser=0 (pod and container "c" must not set runAsUser=0)',
  ],
  [
    'seccomp',
    {
      securityContext: { seccompProfile: { type: 'Unconfined' } },
      containers: [container({ ...tight, seccompProfile: { type: 'Unconfined' } })],
    },
    'seccompProfile (pod and container "c" must not set securityContext.seccompProfile.type to "Unconfined")',
    'seccompProfile (pod and container "c" must not set securityContext.seccompProfile.type to "Unconfined")',
  ],
  [
    'proc mount and SELinux',
    { hostUsers: false, containers: [container({ ...tight, seLinuxOptions: { type: 'spc_t', user: 'u' } })] },
    'seLinuxOptions (container "c" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
    'seLinuxOptions (container "c" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set)',
  ],
  [
    'sysctls',
    {
      securityContext: {
        sysctls: [
          { name: 'kernel.msgmax', value: '1' },
          { name: 'net.ipv4.tcp_syncookies', value: '1' },
        ],
      },
      containers: [container(tight)],
    },
    'forbidden sysctls (kernel.msgmax)',
    'forbidden sysctls (kernel.msgmax)',
  ],

  [
    'two containers',
    { containers: [container(), { ...container({ privileged: true }), name: 'd' }] },
    'privileged (container "d" must not set securityContext.privileged=true)',
    'privileged (container "d" must not set securityContext.privileged=true), allowPrivilegeEscalation != false (containers "c", "d" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "c", "d" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or containers "c", "d" must set securityContext.runAsNonRoot=true), seccompProfile (pod or containers "c", "d" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
  ],
];

describeServers('pod security', (server) => {
  const spaces: Record<string, string> = {};
  beforeAll(async () => {
    for (const level of ['baseline', 'restricted']) {
      spaces[level] = await server().namespace(level, { 'pod-security.kubernetes.io/enforce': level });
    }
  });

  const create = (level: string, name: string, spec: JsonObject): Promise<RawAnswer> =>
    server().raw({
      method: 'POST',
      path: `/api/v1/namespaces/${spaces[level]}/pods?dryRun=All`,
      body: { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec },
    });

  test.each(cases)('%s', async (_name, spec, baseline, restricted) => {
    for (const [level, found] of Object.entries({ baseline, restricted })) {
      const answer = await create(level, 'p', spec);
      const message =
        found === undefined
          ? undefined
          : `pods "p" is forbidden: violates PodSecurity "${level}:latest": ${found}`;
      expect([level, answer.status, answer.json<{ message?: string }>().message]).toEqual([
        level,
        found === undefined ? 201 : 403,
        message,
      ]);
    }
  });

  test('templates are warned about, pods are not refused by warn', async () => {
    const namespace = await server().namespace('warned', { 'pod-security.kubernetes.io/warn': 'baseline' });
    const labels = { app: 'd' };
    const spec = { hostNetwork: true, containers: [container()] };
    const path = `/apis/apps/v1/namespaces/${namespace}/deployments?dryRun=All`;
    const deployment = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'd' },
      spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec } },
    };
    const warning = /would violate PodSecurity \\"baseline:latest\\": host namespaces \(hostNetwork=true\)/;
    const made = await server().raw({ method: 'POST', path, body: deployment });
    expect(made.status).toBe(201);
    expect(made.headers.warning).toMatch(warning);
    const pod = await server().raw({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods`,
      body: { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, spec },
    });
    expect(pod.status).toBe(201);
    expect(pod.headers.warning).toMatch(warning);
    // Raising the level says which pods are there already.
    await eventually(
      async () => {
        const raised = await server().raw({
          method: 'PATCH',
          path: `/api/v1/namespaces/${namespace}?dryRun=All`,
          headers: { 'content-type': 'application/merge-patch+json' },
          body: { metadata: { labels: { 'pod-security.kubernetes.io/enforce': 'baseline' } } },
        });
        expect(raised.headers.warning).toContain(
          `existing pods in namespace \\"${namespace}\\" violate the new PodSecurity enforce level \\"baseline:latest\\"`,
        );
        expect(raised.headers.warning).toContain('p: host namespaces');
      },
      { timeoutMs: 5_000 },
    );
  });

  test('labels must name a level', async () => {
    const answer = await server().raw({
      method: 'POST',
      path: '/api/v1/namespaces?dryRun=All',
      body: {
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: { name: 'typo', labels: { 'pod-security.kubernetes.io/enforce': 'baselin' } },
      },
    });
    expect(answer.json()).toMatchObject({
      code: 422,
      message:
        'Namespace "typo" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "baselin": must be one of privileged, baseline, restricted',
    });
  });
});
