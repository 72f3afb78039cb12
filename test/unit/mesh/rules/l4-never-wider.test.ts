import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AuthorizationPolicy, AuthorizationRule } from '#base/kube/types.js';
import { formatSpiffeId } from '#mesh/identity/spiffe.js';
import { authorizeL4 } from '#mesh/policy/l4/authorize.js';
import { compileL4Policy as compileL4, type L4Connection } from '#mesh/policy/l4/compile.js';
import type { HttpAttributes, L7Attributes } from '#mesh/policy/l7/attributes.js';
import { authorize } from '#mesh/policy/l7/authorize.js';
import { compileL7Policy as compileL7 } from '#mesh/policy/l7/compile.js';
import { convertToL4 } from '#mesh/rules/l4-authorization.js';
import { convertToL7 } from '#mesh/rules/l7-authorization.js';
import { defaultMeshConfig } from '#mesh/rules/mesh-config.js';

const mesh = { ...defaultMeshConfig('istio-system'), trustDomain: 'td' };

/** Few values, so that rules and connections meet; some that cannot be read. */
const listOf = (...values: string[]) =>
  fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 2 });
const ports = listOf('80', '81', 'http');
const blocks = listOf('10.0.0.1', '10.0.0.0/24', '10.0.0.0/99');
const patterns = listOf('cluster.local/ns/a/sa/x', 'td/ns/b/sa/*', '*/sa/x', '*');
const spaces = listOf('a', 'b*', '*', 'a*b', '*a*', '');
const accounts = listOf('x', 'a/x', 'b/*', '');
const some = <T>(shape: { [K in keyof T]: fc.Arbitrary<T[K]> }) => fc.record(shape, { requiredKeys: [] });

const source = some({
  principals: patterns,
  notPrincipals: patterns,
  namespaces: spaces,
  notNamespaces: spaces,
  serviceAccounts: accounts,
  notServiceAccounts: accounts,
  ipBlocks: blocks,
  notIpBlocks: blocks,
  requestPrincipals: listOf('*', 'iss/sub'),
  notRemoteIpBlocks: blocks,
});
const operation = some({
  ports,
  notPorts: ports,
  methods: listOf('GET', 'DELETE'),
  notMethods: listOf('GET'),
  paths: listOf('/a', '/a*'),
  notHosts: listOf('h'),
});
const condition = fc.oneof(
  ...['source.ip', 'destination.ip'].map((key) => conditionOf(key, blocks)),
  conditionOf('destination.port', ports),
  conditionOf('source.principal', patterns),
  conditionOf('source.namespace', spaces),
  conditionOf('request.headers[x]', listOf('1', '*')),
  conditionOf('nobody.knows', listOf('1')),
);

function conditionOf(key: string, values: fc.Arbitrary<string[]>) {
  return fc.record({ key: fc.constant(key), values, notValues: values }, { requiredKeys: ['key'] });
}

const rule = fc.record(
  {
    from: fc.array(fc.record({ source }), { minLength: 1, maxLength: 2 }),
    to: fc.array(fc.record({ operation }), { minLength: 1, maxLength: 2 }),
    when: fc.array(condition, { minLength: 1, maxLength: 2 }),
  },
  { requiredKeys: [] },
) as fc.Arbitrary<AuthorizationRule>;

const policies = fc.array(
  fc.record({
    action: fc.constantFrom('ALLOW', 'DENY', 'AUDIT', 'CUSTOM'),
    rules: fc.array(rule, { maxLength: 2 }),
  }),
  { minLength: 1, maxLength: 3 },
);

const connections = fc.record({
  sourceIp: fc.constantFrom('10.0.0.1', '10.0.0.9', '192.0.2.1'),
  destinationIp: fc.constantFrom('10.0.0.1', '10.0.1.1'),
  destinationPort: fc.constantFrom(80, 81),
  identity: fc.option(
    fc.record({
      trustDomain: fc.constant('td'),
      namespace: fc.constantFrom('a', 'b', 'axb'),
      serviceAccount: fc.constantFrom('x', 'y'),
    }),
    { nil: undefined },
  ),
});

const requests: fc.Arbitrary<HttpAttributes> = fc.record({
  method: fc.constantFrom('GET', 'DELETE'),
  path: fc.constantFrom('/a', '/b'),
  host: fc.constantFrom('h', 'g'),
  header: fc.constantFrom<(name: string) => string | undefined>(
    () => undefined,
    () => '1',
  ),
  auth: fc.constant(undefined),
});

test('a connection that a node proxy admits carries no request that the policies as written would refuse', () => {
  fc.assert(
    fc.property(policies, connections, requests, (specs, { identity, ...addresses }, http) => {
      const written = specs.map(
        (spec, index): AuthorizationPolicy => ({
          apiVersion: 'security.istio.io/v1',
          kind: 'AuthorizationPolicy',
          metadata: { name: `p${index}`, namespace: 'a' },
          spec: spec as NonNullable<AuthorizationPolicy['spec']>,
        }),
      );
      const connection: L4Connection = {
        ...addresses,
        identity: identity && { ...identity, id: formatSpiffeId(identity) },
      };
      const l4 = written.flatMap((policy) => convertToL4(policy, mesh).authorization ?? []);
      const atZtunnel = authorizeL4(
        l4.map((message) => compileL4(message).policy),
        connection,
      );
      const attributes: L7Attributes = {
        ...addresses,
        remoteIp: addresses.sourceIp,
        sourcePrincipal: connection.identity?.id.slice('spiffe://'.length),
        sni: undefined,
        http,
      };
      const names = { trustDomain: mesh.trustDomain, trustDomainAliases: [] };
      // A waypoint refuses everything of a CUSTOM policy; here it counts for what its rules match.
      const l7 = written.map((policy) =>
        compileL7({ ...convertToL7(policy, []), unsupported: false }, names),
      );
      const asWritten = authorize(l7, attributes);
      if (atZtunnel.isAllowed) expect(asWritten.allowed, JSON.stringify(asWritten)).toBe(true);
    }),
    { numRuns: 300 },
  );
});
