import { equals } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import type { AuthorizationPolicy } from '#base/kube/types.js';
import { policyConditions } from '#mesh/controller/status/policy-conditions.js';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import { appliedPolicies } from '#mesh/inspect/policies/policy-report.js';
import { authorizeL4 } from '#mesh/policy/l4/authorize.js';
import { compileL4Policy, type L4Connection } from '#mesh/policy/l4/compile.js';
import { parsePolicyJson } from '#mesh/policy/l4/policy-json.js';
import { convertToL4, l4Shortfall } from '#mesh/rules/l4-authorization.js';
import { AuthorizationSchema } from '#mesh/xds/gen/istio/authorization_pb.js';
import { ruleVectors, VectorWorld, ZtunnelUnderTest } from '../../../../harness/rule-vectors.js';

interface Expected {
  /** `peer port`. */
  readonly admitted?: readonly string[];
  readonly refused?: readonly string[];
  /** Pattern of what is said about it; absent: it is enforced as written. */
  readonly shortfall?: string;
}

describe.each(ruleVectors<Expected>('l4-authorization'))(
  'at ztunnel: $name',
  ({ given, expect: expected }) => {
    const world = new VectorWorld(given);
    const { pod, mesh } = world;
    const policies = world.all<AuthorizationPolicy>('AuthorizationPolicy');
    const state = world.controller();
    const ztunnel = new ZtunnelUnderTest(state);
    const { admitted = [], refused = [], shortfall } = expected;
    const said = shortfall === undefined ? undefined : (expect.stringMatching(shortfall) as string);

    const peers: Readonly<Record<string, Omit<L4Connection, 'destinationIp' | 'destinationPort'>>> = {
      sleep: { sourceIp: '10.0.0.1', identity: identity('shop', 'sleep') },
      other: { sourceIp: '10.0.0.2', identity: identity('other', 'x') },
      plain: { sourceIp: '10.0.0.3', identity: undefined },
    };

    function identity(namespace: string, serviceAccount: string): L4Connection['identity'] {
      const parts = { trustDomain: mesh.trustDomain, namespace, serviceAccount };
      return { ...parts, id: formatSpiffeId(parts) };
    }

    function connection(text: string): L4Connection {
      const [peer = '', port] = text.split(' ');
      const from = peers[peer];
      if (from === undefined) throw new Error(`there is no peer ${peer}`);
      return { ...from, destinationIp: '10.244.0.10', destinationPort: Number(port) };
    }

    function decisions(isAllowed: (of: L4Connection) => boolean): Pick<Expected, 'admitted' | 'refused'> {
      const asked = [...admitted, ...refused];
      const isIn = new Map(asked.map((text) => [text, isAllowed(connection(text))]));
      return {
        admitted: asked.filter((text) => isIn.get(text)),
        refused: asked.filter((text) => isIn.get(text) === false),
      };
    }

    test('the rule', () => {
      const conversions = policies.map((policy) => convertToL4(policy, mesh));
      const compiled = conversions.flatMap(({ authorization }) =>
        authorization === undefined ? [] : [compileL4Policy(authorization).policy],
      );
      expect(decisions((of) => authorizeL4(compiled, of).isAllowed)).toEqual({ admitted, refused });
      expect(conversions.map(l4Shortfall)).toEqual([said]);
    });

    test('a node proxy with what the controller sends', () => {
      const subject = ztunnel.workload(pod);
      expect(decisions((of) => ztunnel.policies.authorize(subject, of).isAllowed)).toEqual({
        admitted,
        refused,
      });
    });

    test('the condition of the policy', () => {
      const conditions = state.index.policyOutcomes.list().flatMap(policyConditions);
      expect(conditions).toMatchObject([
        said === undefined
          ? { type: 'ZtunnelAccepted', status: 'True' }
          : { type: 'ZtunnelAccepted', status: 'False', message: said },
      ]);
    });

    test('that proxy shows what was sent', () => {
      const sent = state.index.authorizations.list().map(({ message }) => message);
      const shown = ztunnel.dump().policies.map(parsePolicyJson);
      expect(shown).toHaveLength(sent.length);
      for (const [index, message] of sent.entries()) {
        const same = shown[index];
        expect(same !== undefined && equals(AuthorizationSchema, same, message)).toBe(true);
      }
    });

    test('describe says the same, and finds no difference to what that proxy has', () => {
      const applied = appliedPolicies({
        pod,
        isEnrolled: true,
        policies,
        mesh,
        dump: ztunnel.dump(),
        bindings: { own: undefined, services: [], waypoints: new Map() },
        gatewayClasses: [],
        loadedAt: new Map(),
      });
      const isSent = state.index.authorizations.list().length > 0;
      expect(applied).toEqual([
        expect.objectContaining({ enforcedBy: isSent ? 'ztunnel' : 'nothing', isLoaded: isSent }),
      ]);
      expect(applied[0]?.difference).toBeUndefined();
      expect(applied[0]?.shortfall).toEqual(said);
    });
  },
);
