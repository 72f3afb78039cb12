import { expect, test } from 'vitest';
import type { Node } from '#base/kube/types.js';
import type { ComponentVersion } from '#mesh/inspect/mesh-versions.js';
import { clockFindings } from '#mesh/inspect/runtime/clock-findings.js';
import { nodeFindings } from '#mesh/inspect/runtime/node-findings.js';
import { versionFindings } from '#mesh/inspect/runtime/version-findings.js';

function node(name: string, status: 'True' | 'False' | 'Unknown'): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name },
    status: {
      conditions: [
        {
          type: 'Ready',
          status,
          reason: 'NodeStatusUnknown',
          message: 'Kubelet stopped posting node status.',
          lastTransitionTime: '2026-01-01T10:00:00Z',
        },
      ],
    },
  };
}

test('a node that is not Ready is the finding, with since when and why', () => {
  const found = nodeFindings([node('a', 'True'), node('b', 'Unknown')], Date.parse('2026-01-01T10:05:00Z'));
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({
    code: 'MESH0957',
    message: 'Node b is NotReady since 2026-01-01T10:00:00Z (5 min)',
    subject: { kind: 'Node', name: 'b' },
    evidence: ['Ready is Unknown: NodeStatusUnknown: Kubelet stopped posting node status.'],
  });
});

function version(component: ComponentVersion['component'], at: string, v: string): ComponentVersion {
  const image = `registry.example/${component}:${v}`;
  return {
    component,
    namespace: 'istio-system',
    pod: `${component}-${at}`,
    node: at,
    version: v,
    image,
    source: 'answer',
  };
}

test('one node with another version than the controller is named with its image', () => {
  const found = versionFindings(
    [
      version('controller', 'a', '1.1'),
      version('ztunnel', 'a', '1.1'),
      version('ztunnel', 'b', '1.0'),
      version('cni', 'a', '1.1'),
    ],
    'istio-system',
  );
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({
    code: 'MESH0962',
    message: 'ztunnel runs 2 versions: 1.1 on a; 1.0 on b',
    subject: { kind: 'DaemonSet', name: 'ztunnel' },
    evidence: ['istio-system/ztunnel-b on b: registry.example/ztunnel:1.0'],
  });
});

test('a component that runs one version, but not that of the controller, is named', () => {
  const found = versionFindings(
    [version('controller', 'a', '1.1'), version('cni', 'a', '1.0')],
    'istio-system',
  );
  expect(found.map(({ message }) => message)).toEqual(['cni runs version 1.0, the controller 1.1']);
});

test('one version everywhere is no finding', () => {
  expect(
    versionFindings([version('controller', 'a', '1'), version('cni', 'b', '1')], 'istio-system'),
  ).toEqual([]);
});

test('the clock that differs from most is the wrong one', () => {
  const found = clockFindings([
    { node: 'a', aheadMs: 400 },
    { node: 'b', aheadMs: -600 },
    { node: 'c', aheadMs: 3_600_000 },
  ]);
  expect(found).toHaveLength(1);
  expect(found[0]).toMatchObject({
    code: 'MESH0963',
    severity: 'error',
    subject: { kind: 'Node', name: 'c' },
  });
  expect(found[0]?.message).toContain('ahead of');
});

test('when all nodes agree, it is this machine that is off', () => {
  const found = clockFindings([
    { node: 'a', aheadMs: 90_000 },
    { node: 'b', aheadMs: 90_500 },
  ]);
  expect(found.map(({ severity, message }) => [severity, message])).toEqual([
    ['info', "this machine's clock is 90 s behind those of the nodes: ages are off by as much"],
  ]);
});
