import { describe, expect, test } from 'vitest';
import type { PeerAuthentication } from '#base/kube/types.js';
import { effectiveMtls, mtlsDifference, observedMtls } from '#mesh/inspect/mtls-report.js';
import { podInDump } from '#mesh/inspect/ztunnel-dump.js';
import { type MtlsMode, peerAuthFacts, peerAuthScope, workloadMtls } from '#mesh/rules/mtls-mode.js';
import { ruleVectors, VectorWorld, ZtunnelUnderTest } from '../../../../harness/rule-vectors.js';

interface Expected {
  readonly mode: MtlsMode;
  readonly source: string;
  readonly ports?: Readonly<Record<string, MtlsMode>>;
  readonly ignoredDisable?: readonly string[];
}

describe.each(ruleVectors<Expected>('mtls-mode'))('mTLS mode: $name', ({ given, expect: expected }) => {
  const { mode, ports = {} } = expected;
  const world = new VectorWorld(given);
  const { pod, mesh } = world;
  const policies = world.all<PeerAuthentication>('PeerAuthentication');
  const ztunnel = new ZtunnelUnderTest(world.controller());
  const asked = effectiveMtls(
    { namespace: pod.metadata.namespace ?? '', labels: pod.metadata.labels ?? {} },
    policies,
    mesh.rootNamespace,
  );

  test('the rule', () => {
    const scope = peerAuthScope(policies.map(peerAuthFacts), { namespace: 'shop', ...mesh });
    const found = workloadMtls({ namespace: 'shop', labels: pod.metadata.labels ?? {} }, scope);
    expect([found.mode, found.exceptions.map(String)]).toEqual([mode, Object.keys(ports)]);
  });

  test('a node proxy with what the controller sends admits peers without identity accordingly', () => {
    for (const port of [1, 80, 8080, 9090]) {
      const decision = ztunnel.policies.authorize(ztunnel.workload(pod), {
        sourceIp: '10.0.0.3',
        destinationIp: '10.244.0.10',
        destinationPort: port,
        identity: undefined,
      });
      expect(decision.isAllowed, `port ${port}`).toBe((ports[String(port)] ?? mode) === 'PERMISSIVE');
    }
  });

  test('describe says what is asked for', () => {
    const { source, ignoredDisable = [] } = expected;
    expect(asked).toEqual({ mode, source, ports, ignoredDisable });
  });

  test('describe says what that proxy shows it enforces, and finds no difference', () => {
    const dump = ztunnel.dump();
    const workload = podInDump(dump, { namespace: 'shop', name: 'a' });
    const seen = workload === undefined ? undefined : observedMtls(dump, workload);
    expect(seen).toMatchObject({ mode, ports });
    expect(seen === undefined ? undefined : mtlsDifference(asked, seen)).toBeUndefined();
  });
});
