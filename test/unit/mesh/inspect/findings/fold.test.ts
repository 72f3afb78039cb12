import { expect, test } from 'vitest';
import type { Finding, FindingSubject } from '#mesh/inspect/findings/finding.js';
import {
  asConsequencesOf,
  findingsConcerning,
  flattenFindings,
  foldFindings,
} from '#mesh/inspect/findings/fold.js';

const node: FindingSubject = { kind: 'Node', name: 'node-2' };
const agent: FindingSubject = { kind: 'Pod', namespace: 'istio-system', name: 'istio-cni-node-x' };
const pod: FindingSubject = { kind: 'Pod', namespace: 'shop', name: 'frontend' };

function finding(code: string, subject: FindingSubject, o: Partial<Finding> = {}): Finding {
  return { code, severity: 'error', message: `${subject.name} is broken`, subject, ...o };
}

test('what follows from a cause stands under it, however far away', () => {
  const found = foldFindings([
    finding('MESH0920', pod, { dependsOn: [agent] }),
    finding('MESH0333', agent, { dependsOn: [node] }),
    finding('MESH0940', node),
  ]);
  expect(found.map(({ code }) => code)).toEqual(['MESH0940']);
  expect(found[0]?.consequences?.map(({ code }) => code)).toEqual(['MESH0920', 'MESH0333']);
  expect(flattenFindings(found)).toHaveLength(3);
});

test('what an interrupted installation lacks follows from it, and a stopped node does not', () => {
  const record = { kind: 'ConfigMap', namespace: 'istio-system', name: 'record' };
  const interruption = finding('MESH0336', record);
  const rest = [finding('MESH0958', agent), finding('MESH0940', node)];
  const found = foldFindings([...asConsequencesOf(interruption, rest), interruption]);
  expect(found.map(({ code, consequences = [] }) => [code, consequences.map((c) => c.code)])).toEqual([
    ['MESH0336', ['MESH0958']],
    ['MESH0940', []],
  ]);
  expect(asConsequencesOf(undefined, rest)).toBe(rest);
});

test('a warning about an object explains no error of another', () => {
  const found = foldFindings([
    finding('MESH0920', pod, { dependsOn: [node] }),
    finding('MESH0940', node, { severity: 'warning' }),
  ]);
  expect(found.map(({ code }) => code)).toEqual(['MESH0920', 'MESH0940']);
});

test('findings that blame each other are all kept', () => {
  const found = foldFindings([
    finding('MESH0001', pod, { dependsOn: [node] }),
    finding('MESH0002', node, { dependsOn: [pod] }),
  ]);
  expect(flattenFindings(found)).toHaveLength(2);
});

test('alike findings become one that concerns all their objects', () => {
  const other: FindingSubject = { ...pod, name: 'other' };
  const found = foldFindings([
    finding('MESH0940', node, { concerns: [pod] }),
    finding('MESH0940', node, { concerns: [pod, other] }),
  ]);
  expect(found).toHaveLength(1);
  expect(found[0]?.concerns).toEqual([pod, other]);
});

test('the worst comes first', () => {
  const found = foldFindings([
    finding('MESH0001', pod, { severity: 'info' }),
    finding('MESH0002', node, { severity: 'warning' }),
    finding('MESH0003', agent),
  ]);
  expect(found.map(({ severity }) => severity)).toEqual(['error', 'warning', 'info']);
});

test('an object feels what concerns it or its whole namespace', () => {
  const found = [
    finding('MESH0001', { kind: 'Namespace', name: 'shop' }),
    finding('MESH0002', node, { concerns: [{ kind: 'Namespace', name: 'shop' }] }),
    finding('MESH0003', node),
    finding('MESH0004', pod),
  ];
  expect(findingsConcerning(found, pod).map(({ code }) => code)).toEqual(['MESH0002', 'MESH0004']);
});
