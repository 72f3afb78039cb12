import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { AuthorizationPolicy, KubeObject, PeerAuthentication } from '#base/kube/types.js';
import type { PodCapture } from '#mesh/inspect/capture-report.js';
import { effectiveMtls, mtlsDifference, observedMtls } from '#mesh/inspect/mtls-report.js';
import type { PodEvidence } from '#mesh/inspect/pod/pod-evidence.js';
import { podFindings } from '#mesh/inspect/pod/pod-findings.js';
import { judgePod } from '#mesh/inspect/pod/pod-verdict.js';
import type { AppliedPolicy } from '#mesh/inspect/policies/applied-policy.js';
import { appliedPolicies } from '#mesh/inspect/policies/policy-report.js';
import type { PodBindings } from '#mesh/inspect/waypoint-bindings.js';
import { podInDump, type ZtunnelDump } from '#mesh/inspect/ztunnel-dump.js';
import { serviceFacts } from '#mesh/rules/facts.js';
import { convertToL7 } from '#mesh/rules/l7-authorization.js';
import { waypointOf } from '#mesh/rules/waypoint.js';
import {
  type AuthorizationPolicy as L7Policy,
  AuthorizationPolicySchema,
} from '#mesh/xds/gen/meshctl/l7_pb.js';
import { VectorWorld, ZtunnelUnderTest } from '../../../harness/rule-vectors.js';

const objects = (yaml: string): KubeObject[] => parse(yaml) as KubeObject[];
const dumpOf = (yaml: string): ZtunnelDump =>
  new ZtunnelUnderTest(new VectorWorld(objects(yaml)).controller()).dump();
const allow = (of: string, name = 'p') =>
  `[{ kind: AuthorizationPolicy, metadata: { namespace: shop, name: ${name} }, spec: ${of} }]`;
const selecting = '{ selector: { matchLabels: { app: a } } }';

const bound: PodBindings = (() => {
  const world = new VectorWorld([]);
  const facts = serviceFacts(world.object('Service shop/web'));
  if (facts === undefined) throw new Error('Service shop/web has no facts');
  const use = { namespace: 'shop', name: 'w', isUsed: true, isReady: true, why: 'ready' };
  const waypoint = waypointOf(world.object('Gateway shop/w'), undefined);
  return { own: undefined, services: [{ facts, waypoint: use }], waypoints: new Map([['shop/w', waypoint]]) };
})();
const unbound: PodBindings = { own: undefined, services: [], waypoints: new Map() };

/** What is reported of the policies that there are, when proxies have what they have. */
function report(o: {
  readonly asked: string;
  readonly dump: ZtunnelDump;
  readonly atWaypoint?: readonly L7Policy[] | undefined;
  readonly bindings?: PodBindings;
  readonly isEnrolled?: boolean;
}): readonly AppliedPolicy[] {
  const world = new VectorWorld(objects(o.asked));
  const bindings = o.bindings ?? unbound;
  return appliedPolicies({
    pod: world.pod,
    isEnrolled: o.isEnrolled ?? true,
    policies: world.all<AuthorizationPolicy>('AuthorizationPolicy'),
    mesh: world.mesh,
    dump: o.dump,
    bindings,
    gatewayClasses: world.all('GatewayClass'),
    loadedAt: new Map([...bindings.waypoints.keys()].map((key) => [key, o.atWaypoint])),
  });
}

describe('a node proxy that has something else than what is asked for', () => {
  test.each([
    ['nothing', allow('{}'), '[]', false, 'does not have it'],
    ['an older version', allow('{ action: DENY, rules: [{}] }'), allow('{}'), true, 'another version'],
    ['one that is gone', '[]', allow('{}'), true, 'there is no such AuthorizationPolicy'],
    ['one that selected', '[]', allow(selecting), true, 'there is no such AuthorizationPolicy'],
  ])('%s', (_what, asked, had, isLoaded, difference) => {
    const [policy] = report({ asked, dump: dumpOf(had) });
    expect(policy).toMatchObject({
      enforcedBy: 'ztunnel',
      isLoaded,
      difference: expect.stringContaining(difference) as string,
    });
    const [finding] = findingsOf({ policies: policy === undefined ? [] : [policy] });
    expect(finding).toMatchObject({ severity: 'error', code: isLoaded ? 'MESH0934' : 'MESH0923' });
  });

  test('a policy that the workload does not list is not in force', () => {
    const dump = dumpOf(allow(selecting));
    const workloads = dump.workloads.map((w) => ({ ...w, authorizationPolicies: [] }));
    const [policy] = report({ asked: allow(selecting), dump: { ...dump, workloads } });
    expect(policy).toMatchObject({
      isLoaded: false,
      difference: expect.stringContaining('does not apply it') as string,
    });
  });

  test('a policy in words that cannot be read is taken for what it is called', () => {
    const dump = dumpOf(allow('{ rules: [{ from: [{ source: { namespaces: [x] } }] }] }'));
    const policies = dump.policies.map((p) => ({ ...p, rules: [[[{ futureField: [1] }]]] }));
    const [policy] = report({ asked: allow('{}'), dump: { ...dump, policies } });
    expect(policy).toMatchObject({ isLoaded: true });
    expect(policy?.difference).toBeUndefined();
  });

  test('outside the mesh nothing is enforced, which is no error', () => {
    const [policy] = report({ asked: allow('{}'), dump: dumpOf('[]'), isEnrolled: false });
    expect(policy).toMatchObject({ enforcedBy: 'nothing', shortfall: 'the pod is not in the mesh' });
    const intent = { isEnrolled: false, reason: 'no label' };
    const found = findingsOf({ intent, policies: policy === undefined ? [] : [policy] });
    expect(found).toMatchObject([{ severity: 'info', code: 'MESH0931' }]);
  });
});

describe('a waypoint that has something else than what is asked for', () => {
  const onService = '{ targetRefs: [{ kind: Service, group: "", name: web }] }';
  const hostname = 'web.shop.svc.cluster.local';
  const l7 = (yaml: string, targets = [{ namespace: 'shop', hostname }]) =>
    objects(yaml).map((policy) => convertToL7(policy as AuthorizationPolicy, targets));
  const dump = dumpOf('[]');

  test.each<[string, string, L7Policy[] | undefined, boolean | undefined, string | undefined]>([
    ['the same', allow(onService), l7(allow(onService)), true, undefined],
    ['the same, for all services', allow(onService), l7(allow(onService), []), true, undefined],
    ['nothing', allow(onService), [], false, 'does not have it'],
    [
      'it for another service',
      allow(onService),
      l7(allow(onService), [{ namespace: 'shop', hostname: 'x' }]),
      false,
      'other services',
    ],
    ['an older version', allow(onService), l7(allow('{ rules: [{}] }')), true, 'another version'],
    ['one that is gone', '[]', l7(allow('{}')), true, 'no AuthorizationPolicy asks for it'],
    ['no answer', allow(onService), undefined, undefined, undefined],
  ])('%s', (_what, asked, atWaypoint, isLoaded, difference) => {
    const [policy] = report({ asked, dump, atWaypoint, bindings: bound });
    expect(policy).toMatchObject({ enforcedBy: 'waypoint shop/w', isLoaded });
    expect(policy?.difference).toEqual(
      difference === undefined ? undefined : (expect.stringContaining(difference) as string),
    );
  });

  test('a policy of another service is nobody’s business here', () => {
    const other = create(AuthorizationPolicySchema, {
      namespace: 'shop',
      name: 'q',
      targets: [{ namespace: 'shop', hostname: 'other.shop.svc.cluster.local' }],
    });
    expect(report({ asked: '[]', dump, atWaypoint: [other], bindings: bound })).toEqual([]);
  });
});

describe('an mTLS mode that is not the one asked for', () => {
  const strict =
    '[{ kind: PeerAuthentication, metadata: { namespace: shop, name: d }, spec: { mtls: { mode: STRICT } } }]';
  const difference = (asked: string, dump: ZtunnelDump) => {
    const world = new VectorWorld(objects(asked));
    const workload = podInDump(dump, { namespace: 'shop', name: 'a' });
    if (workload === undefined) throw new Error('the proxy does not know the pod');
    const { namespace = '', labels = {} } = world.pod.metadata;
    const wanted = effectiveMtls(
      { namespace, labels },
      world.all<PeerAuthentication>('PeerAuthentication'),
      'istio-system',
    );
    return mtlsDifference(wanted, observedMtls(dump, workload));
  };

  test('either way', () => {
    expect(difference(strict, dumpOf(strict))).toBeUndefined();
    expect(difference(strict, dumpOf('[]'))).toContain(
      'STRICT is asked for (PeerAuthentication shop/d), PERMISSIVE is enforced',
    );
    expect(difference('[]', dumpOf(strict))).toContain(
      'PERMISSIVE is asked for (default), STRICT is enforced',
    );
  });

  test('is unknown while a policy that the workload names has not arrived', () => {
    const dump = { ...dumpOf(strict), policies: [] };
    expect(difference(strict, dump)).toContain('istio_converted_static_strict has not arrived');
  });
});

test('an agent that decides otherwise than its settings say is a finding, either way', () => {
  const wanted = { enroll: false, reason: 'namespace shop is excluded' };
  expect(
    findingsOf({ capture: { ...captured, wanted } }).map(({ code, message }) => `${code} ${message}`),
  ).toEqual([
    'MESH0930 by its settings the pod is in (label), by the agent out (namespace shop is excluded)',
  ]);
  expect(findingsOf({ capture: { ...captured, wanted: { enroll: true, reason: 'label' } } })).toEqual([]);
});

describe('a waypoint for the pod itself', () => {
  const gone = { namespace: 'shop', name: 'gone', isUsed: true, isReady: false, why: 'no such Gateway' };

  test('that is not there: calls to the pod are refused, and it is not called ready', () => {
    expect(judgePod(evidence({ waypoint: gone }))).toMatchObject({
      verdict: 'broken',
      summary: expect.stringContaining('calls to its address are refused') as string,
    });
    expect(findingsOf({ waypoint: gone })).toMatchObject([
      {
        severity: 'error',
        code: 'MESH0924',
        message: 'waypoint shop/gone is not ready (no such Gateway): calls through it are refused',
      },
    ]);
  });

  test('that traffic goes past is said, and nothing is refused', () => {
    const past = { ...gone, isUsed: false };
    expect(judgePod(evidence({ waypoint: past })).verdict).toBe('ready');
    expect(findingsOf({ waypoint: past })).toMatchObject([{ severity: 'warning', code: 'MESH0929' }]);
  });
});

describe('rules of others in a pod', () => {
  const overriding = ['v4: -t nat -A OUTPUT -j ACCEPT', 'v6: -t raw -A OUTPUT -j CT --notrack'];
  const capture = { ...captured, rules: { ok: false, missing: [], overriding } };

  test('are the cause, by name, and nothing is said to be missing', () => {
    expect(findingsOf({ capture })).toEqual([
      {
        code: 'MESH0938',
        severity: 'error',
        message: 'a rule in the pod overrides its redirection: iptables -t nat -A OUTPUT -j ACCEPT',
        evidence: ['ip6tables -t raw -A OUTPUT -j CT --notrack'],
        fix: "remove it in the pod's network namespace: iptables -t nat -D OUTPUT -j ACCEPT",
        subject: { kind: 'Pod', namespace: 'shop', name: 'a' },
      },
    ]);
    expect(judgePod(evidence({ capture })).verdict).toBe('broken');
  });

  test('do not hide what is missing besides', () => {
    const rules = { ok: false, missing: ['v4: chain'], overriding };
    expect(findingsOf({ capture: { ...captured, rules } }).map(({ code }) => code)).toEqual([
      'MESH0938',
      'MESH0920',
    ]);
  });
});

const captured: PodCapture = {
  uid: 'u',
  name: 'a',
  namespace: 'shop',
  ips: [],
  state: 'enabled',
  netnsInode: '1',
  rules: { ok: true, missing: [] },
  listeners: { '15001': true, '15006': true, '15008': true },
};

/** A sound pod in the mesh, but for what is given. */
function evidence(o: Partial<PodEvidence> & { readonly capture?: PodCapture }): PodEvidence {
  const { capture = captured, ...rest } = o;
  const isEnrolled = o.intent?.isEnrolled ?? true;
  return {
    pod: {
      namespace: 'shop',
      name: 'a',
      uid: 'u',
      node: 'n',
      ips: [],
      serviceAccount: 'default',
      phase: 'Running',
      isReady: true,
    },
    meshNamespace: 'istio-system',
    intent: { isEnrolled: true, reason: 'label' },
    observed: {
      annotation: 'enabled',
      capture: isEnrolled ? capture : undefined,
      ztunnel: 'ztunnel-1',
      ztunnelState: 'Up',
      components: [],
      mtls: { mode: 'PERMISSIVE', ports: {}, policies: [] },
    },
    identity: 'spiffe://cluster.local/ns/shop/sa/default',
    certificate: { state: 'Available', isValid: true },
    mtls: { mode: 'PERMISSIVE', source: 'default', ports: {}, ignoredDisable: [] },
    services: [],
    policies: [],
    connections: [],
    distrust: [],
    silentWaypoints: [],
    assumptions: [],
    ...rest,
  };
}

function findingsOf(o: Partial<PodEvidence> & { readonly capture?: PodCapture }) {
  return podFindings(evidence(o));
}
