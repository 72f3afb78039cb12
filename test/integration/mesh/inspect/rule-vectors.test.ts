import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import * as resources from '#base/kube/resource.js';
import { enrollablePods } from '#mesh/inspect/enrollment.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { readMeshSettings } from '#mesh/inspect/mesh-settings.js';
import { flattenFindings } from '#mesh/inspect/findings/fold.js';
import { describePod, type PodDescription } from '#mesh/inspect/pod/pod-report.js';
import { listWaypoints } from '#mesh/inspect/waypoint-report.js';
import { ruleVectors, systemNamespace } from '../../../harness/rule-vectors.js';
import { VectorCluster } from './vector-cluster.js';

let cluster: VectorCluster;
beforeAll(async () => {
  cluster = await VectorCluster.start();
});
afterAll(() => cluster.stop());

async function describeShopPod(namespace = 'shop'): Promise<PodDescription> {
  const observer = new MeshObserver(cluster.client, systemNamespace);
  const report = await describePod(observer, { namespace, name: 'a', now: Date.now() });
  // What follows from a cause counts here like the cause.
  return { ...report, findings: flattenFindings(report.findings) };
}

/** Codes of findings that say that proxies have something else than what is asked for. */
const differences = ['MESH0923', 'MESH0933', 'MESH0934'];

function expectNoDifference({ findings }: PodDescription): void {
  expect(findings.filter(({ code }) => differences.includes(code))).toEqual([]);
}

describe('enrollment', () => {
  test.each(ruleVectors<{ isEnrolled: boolean; reason?: string }>('enrollment'))(
    '$name',
    async ({ given, expect: expected }) => {
      const { pod } = await cluster.become(given);
      const { isEnrolled, reason = '' } = expected;
      const intent = { isEnrolled, reason: expect.stringContaining(reason) as string };
      const report = await describeShopPod(pod.metadata.namespace);
      expect(report.intent).toEqual(intent);
      // A pod of the mesh itself is described as what it is.
      expect(report.verdict === 'not-in-mesh' || report.role !== undefined).toBe(!isEnrolled);
      const settings = await readMeshSettings(cluster.client, systemNamespace);
      const listed = await enrollablePods(cluster.client, {
        meshNamespace: systemNamespace,
        namespaces: undefined,
        settings,
      });
      // Components of the mesh and pods that are over are not for anybody to enroll.
      const isListed = pod.metadata.namespace !== systemNamespace && pod.status?.phase === 'Running';
      const own = listed.filter(
        ({ pod: p }) => p.metadata.namespace === pod.metadata.namespace && p.metadata.name === 'a',
      );
      expect(own.map((subject) => subject.intent)).toEqual(isListed ? [intent] : []);
    },
  );
});

describe('mTLS mode', () => {
  test.each(
    ruleVectors<{
      mode: string;
      source: string;
      ports?: Record<string, string>;
      ignoredDisable?: string[];
    }>('mtls-mode'),
  )('$name', async ({ given, isRefusedByApi, expect: { mode, source, ports = {}, ignoredDisable = [] } }) => {
    if (isRefusedByApi === true) {
      await expect(cluster.become(given)).rejects.toMatchObject({ code: 'MESH0206' });
      return;
    }
    await cluster.become(given);
    const report = await describeShopPod();
    expect(report.mtls).toEqual({ mode, source, ports, ignoredDisable });
    expect(report.observed.mtls).toMatchObject({ mode, ports });
    expectNoDifference(report);
  });
});

describe('policy targets', () => {
  test.each(ruleVectors<Record<string, string>>('policy-targets'))(
    '$name',
    async ({ given, expect: expected }) => {
      await cluster.become(given);
      const report = await describeShopPod();
      const shown = report.policies.map((p) => [`${p.namespace}/${p.name}`, p.enforcedBy]);
      expect(Object.fromEntries(shown)).toEqual(expected);
      for (const { enforcedBy, isLoaded } of report.policies) expect(isLoaded).toBe(enforcedBy !== 'nothing');
      expectNoDifference(report);
      const isNowhere = Object.values(expected).includes('nothing');
      expect(report.findings.some(({ code }) => code === 'MESH0931')).toBe(isNowhere);
    },
  );
});

describe('waypoint binding', () => {
  test.each(
    ruleVectors<{ kind: string; waypoint?: string; problem?: string; users?: string[] }>('waypoint-binding'),
  )('$name', async ({ of = '', given, expect: expected }) => {
    await cluster.become(given);
    const report = await describeShopPod();
    const use = of.startsWith('Pod') ? report.waypoint : report.services[0]?.waypoint;
    const { kind, waypoint, problem, users } = expected;
    expect(use && `${use.namespace}/${use.name}`).toBe(kind === 'none' ? undefined : waypoint);
    expect(use?.isUsed).toBe(kind === 'none' ? undefined : kind === 'bound');
    if (kind !== 'none') {
      const wanted = kind === 'refused' ? 'MESH0929' : problem === undefined ? undefined : 'MESH0924';
      const found = report.findings.filter(({ code }) => code === 'MESH0924' || code === 'MESH0929');
      expect(found.map(({ code }) => code)).toEqual(wanted === undefined ? [] : [wanted]);
    }
    if (users === undefined || waypoint === undefined) return;
    const [namespace = '', name] = waypoint.split('/');
    const [listed] = await listWaypoints(cluster.client, { namespace, name });
    expect(listed?.users).toEqual(users);
  });
});

describe('at ztunnel', () => {
  test.each(ruleVectors<{ shortfall?: string }>('l4-authorization'))(
    '$name',
    async ({ given, expect: { shortfall } }) => {
      await cluster.become(given);
      const report = await describeShopPod();
      const said = shortfall === undefined ? undefined : (expect.stringMatching(shortfall) as string);
      expect(report.policies.map((p) => p.shortfall)).toEqual([said]);
      expectNoDifference(report);
      const codes = report.findings.map(({ code }) => code);
      expect(codes.includes('MESH0932') || codes.includes('MESH0931')).toBe(shortfall !== undefined);
    },
  );
});

describe('mesh options', () => {
  test.each(ruleVectors<Record<string, string>>('mesh-config'))(
    '$name',
    async ({ given, expect: { refused, ...options } }) => {
      await cluster.become(refused === undefined ? given : []);
      if (refused !== undefined) {
        await cluster.client.create(resources.configMaps, given[0] as never, { namespace: systemNamespace });
      }
      const { mesh, assumptions } = await readMeshSettings(cluster.client, systemNamespace);
      if (refused === undefined) expect(mesh).toEqual(options);
      expect(assumptions).toEqual(refused === undefined ? [] : [expect.stringContaining(refused)]);
      const report = await describeShopPod();
      expect(report.identity).toBe(`spiffe://${mesh.trustDomain}/ns/shop/sa/default`);
      expect(report.assumptions).toEqual(assumptions);
    },
  );
});
