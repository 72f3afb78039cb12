import { parsePolicyJson } from '../../policy/l4/policy-json.js';
import type { Authorization } from '../../xds/gen/istio/authorization_pb.js';
import type { YamlFields } from './yaml-fields.js';

const scopes = { Global: 'Global', Namespace: 'Namespace', WorkloadSelector: 'WorkloadSelector' };
const actions = { Allow: 'Allow', Deny: 'Deny' };

/** Reads a policy in the form of the dump; scope and action may be left out. Throws, naming the policy. */
export function readLocalPolicy(r: YamlFields): Authorization {
  r.only(['name', 'namespace', 'scope', 'action', 'rules', 'dryRun']);
  const name = r.text('name');
  const policy = {
    name,
    namespace: r.text('namespace'),
    scope: r.word('scope', scopes, scopes.Global),
    action: r.word('action', actions, actions.Allow),
    dryRun: r.flag('dryRun'),
    rules: r.array('rules'),
  };
  try {
    return parsePolicyJson(policy);
  } catch (cause) {
    throw new Error(`policy ${name}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}
