import { create, type MessageInitShape } from '@bufbuild/protobuf';
import {
  Action,
  type Authorization,
  AuthorizationSchema,
  type MatchSchema,
  Scope,
} from '../../xds/gen/istio/authorization_pb.js';
import { readCidr, YamlFields } from './yaml-fields.js';

const stringKinds = { Exact: 'exact', Prefix: 'prefix', Suffix: 'suffix' } as const;

/** Reads a policy; rules are lists of lists of matches, as in the dump. */
export function readLocalPolicy(r: YamlFields): Authorization {
  r.only(['name', 'namespace', 'scope', 'action', 'rules', 'dryRun']);
  return create(AuthorizationSchema, {
    name: r.text('name'),
    namespace: r.text('namespace'),
    scope: r.word(
      'scope',
      { Global: Scope.GLOBAL, Namespace: Scope.NAMESPACE, WorkloadSelector: Scope.WORKLOAD_SELECTOR },
      Scope.GLOBAL,
    ),
    action: r.word('action', { Allow: Action.ALLOW, Deny: Action.DENY }, Action.ALLOW),
    dryRun: r.flag('dryRun'),
    rules: r.array('rules').map((rule) => ({
      clauses: asList(rule).map((clause) => ({
        matches: asList(clause).map((match) => readMatch(new YamlFields(match, `policy ${r.text('name')}`))),
      })),
    })),
  });
}

function readMatch(r: YamlFields): MessageInitShape<typeof MatchSchema> {
  const strings = (key: string) => r.list(key).map(readStringMatch);
  const accounts = (key: string) =>
    r.list(key).map((a) => ({ namespace: a.text('namespace'), serviceAccount: a.text('serviceAccount') }));
  const ranges = (key: string) => r.texts(key).map(readCidr);
  const ports = (key: string) => r.texts(key).map(Number);
  return {
    namespaces: strings('namespaces'),
    notNamespaces: strings('notNamespaces'),
    principals: strings('principals'),
    notPrincipals: strings('notPrincipals'),
    serviceAccounts: accounts('serviceAccounts'),
    notServiceAccounts: accounts('notServiceAccounts'),
    sourceIps: ranges('sourceIps'),
    notSourceIps: ranges('notSourceIps'),
    destinationIps: ranges('destinationIps'),
    notDestinationIps: ranges('notDestinationIps'),
    destinationPorts: ports('destinationPorts'),
    notDestinationPorts: ports('notDestinationPorts'),
  };
}

function readStringMatch(r: YamlFields) {
  if (r.has('Presence')) return { matchType: { case: 'presence' as const, value: {} } };
  for (const [key, kind] of Object.entries(stringKinds)) {
    if (r.has(key)) return { matchType: { case: kind, value: r.text(key) } };
  }
  throw new Error('a string match needs Exact, Prefix, Suffix or Presence');
}

function asList(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error('policy rules are lists of lists of matches');
  return value;
}
