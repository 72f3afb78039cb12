import { isCidrInCidr, parseNetwork } from '#base/net/cidr.js';
import { isObject, type JsonObject, numberOf, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { network } from '../validation/addresses.js';
import { at, Checks, isUnset, portNameProblems } from '../validation/checks.js';
import { labelSelector } from '../validation/selectors.js';

const protocols = ['TCP', 'UDP', 'SCTP'];
const policyTypes = ['Ingress', 'Egress'];

function portErrors(checks: Checks, rule: JsonObject, path: string): void {
  const { port, endPort } = rule;
  const end = numberOf(endPort);
  if (rule.protocol !== undefined) checks.oneOf(rule.protocol, at(path, 'protocol'), protocols);
  if (typeof port === 'number') {
    checks.port(port, at(path, 'port'));
    if (end !== undefined && end < port)
      checks.invalid(at(path, 'endPort'), port, 'must be greater than or equal to `port`');
    if (end !== undefined) checks.port(end, at(path, 'endPort'));
  } else if (typeof port === 'string') {
    if (end !== undefined)
      checks.invalid(at(path, 'endPort'), end, 'may not be specified when `port` is non-numeric');
    for (const problem of portNameProblems(port)) checks.invalid(at(path, 'port'), port, problem);
  } else if (end !== undefined) {
    checks.invalid(at(path, 'endPort'), end, 'may not be specified when `port` is not specified');
  }
}

/** Whether the second network lies within the first, and is smaller. */
function isStrictSubset(outer: string, inner: string): boolean {
  const [whole, part] = [parseNetwork(outer), parseNetwork(inner)];
  if (whole === undefined || part === undefined) return false;
  return part.length > whole.length && isCidrInCidr(whole, part);
}

function blockErrors(checks: Checks, block: JsonObject, path: string): void {
  const text = stringOf(block.cidr);
  if (text === '') checks.required(at(path, 'cidr'));
  else if (network(checks, text, at(path, 'cidr'))) {
    stringsOf(block.except).forEach((except, i) => {
      const where = `${at(path, 'except')}[${i}]`;
      if (network(checks, except, where) && !isStrictSubset(text, except))
        checks.invalid(where, except, 'must be a strict subset of `cidr`');
    });
  }
}

function peerErrors(checks: Checks, peer: JsonObject, path: string): void {
  const given = ['podSelector', 'namespaceSelector', 'ipBlock'].filter((k) => isObject(peer[k]));
  for (const key of ['podSelector', 'namespaceSelector']) labelSelector(checks, peer[key], at(path, key));
  if (isObject(peer.ipBlock)) blockErrors(checks, peer.ipBlock, at(path, 'ipBlock'));
  if (given.length === 0) checks.required(path, 'must specify a peer');
  else if (given.length > 1 && isObject(peer.ipBlock))
    checks.forbidden(path, 'may not specify both ipBlock and another peer');
}

/** NetworkPolicies. */
export const networkPolicyStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    if (stringsOf(spec.policyTypes).length === 0)
      spec.policyTypes = objectsOf(spec.egress).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
    for (const rule of [...objectsOf(spec.ingress), ...objectsOf(spec.egress)])
      for (const port of objectsOf(rule.ports)) port.protocol ??= 'TCP';
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    labelSelector(checks, spec.podSelector, 'spec.podSelector');
    for (const [direction, peers] of [
      ['ingress', 'from'],
      ['egress', 'to'],
    ] as const) {
      checks.each(spec[direction], `spec.${direction}`, (rule, path) => {
        checks.each(rule.ports, at(path, 'ports'), (port, where) => {
          portErrors(checks, port, where);
        });
        checks.each(rule[peers], at(path, peers), (peer, where) => {
          peerErrors(checks, peer, where);
        });
      });
    }
    const types = stringsOf(spec.policyTypes);
    if (types.length > policyTypes.length)
      checks.invalid('spec.policyTypes', types, 'may not specify more than two policyTypes');
    else {
      types.forEach((type, i) => {
        if (!isUnset(type)) checks.oneOf(type, `spec.policyTypes[${i}]`, policyTypes);
      });
    }
    return checks.errors;
  },
};
