import { isIp } from '#base/net/address.js';
import type { FieldError } from '../../api-error.js';
import {
  isObject,
  type Json,
  type JsonObject,
  numberOf,
  objectOf,
  objectsOf,
  stringOf,
  stringsOf,
} from '../../../base/json.js';
import { nameProblems, qualifiedNameProblems } from '../../registry/names.js';
import { at, Checks, isUnset } from '../validation/checks.js';
import { containerResourceName, resourceAmount } from '../validation/quantities.js';
import { labels, qualifiedName } from '../validation/selectors.js';
import { containerErrors } from './container-errors.js';
import { affinityErrors, spreadErrors, tolerationErrors } from './scheduling-errors.js';
import { podSecurityErrors } from './security-errors.js';
import { volumeErrors } from './volume-errors.js';

const restartPolicies = ['Always', 'Never', 'OnFailure'];
const dnsPolicies = ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'];
const dnsLimits = { nameservers: 3, searches: 32, searchCharacters: 2048 } as const;
const int32Max = 2 ** 31 - 1;

function dnsErrors(checks: Checks, spec: JsonObject, path: string): void {
  const config = spec.dnsConfig;
  const where = at(path, 'dnsConfig');
  if (spec.dnsPolicy === 'None') {
    if (!isObject(config)) {
      checks.required(where, 'must provide `dnsConfig` when `dnsPolicy` is None');
      return;
    }
    if (stringsOf(config.nameservers).length === 0)
      checks.required(
        at(where, 'nameservers'),
        'must provide at least one DNS nameserver when `dnsPolicy` is None',
      );
  }
  if (!isObject(config)) return;
  const servers = stringsOf(config.nameservers);
  if (servers.length > dnsLimits.nameservers)
    checks.invalid(
      at(where, 'nameservers'),
      servers,
      `must not have more than ${dnsLimits.nameservers} nameservers`,
    );
  servers.forEach((server, i) => {
    if (!isIp(server))
      checks.invalid(`${at(where, 'nameservers')}[${i}]`, server, 'must be a valid IP address');
  });
  const searches = stringsOf(config.searches);
  if (searches.length > dnsLimits.searches)
    checks.invalid(
      at(where, 'searches'),
      searches,
      `must not have more than ${dnsLimits.searches} search paths`,
    );
  if (searches.join(' ').length > dnsLimits.searchCharacters) {
    checks.invalid(
      at(where, 'searches'),
      searches,
      `must not have more than ${dnsLimits.searchCharacters} characters (including spaces) in the search list`,
    );
  }
  searches.forEach((search, i) => {
    for (const problem of nameProblems(search.replace(/\.$/, ''), 'subdomain'))
      checks.invalid(`${at(where, 'searches')}[${i}]`, search, problem);
  });
  checks.each(config.options, at(where, 'options'), (option, optionPath) => {
    if (isUnset(option.name)) checks.required(optionPath, 'must not be empty');
  });
}

function gateErrors(checks: Checks, spec: JsonObject, path: string): void {
  checks.each(spec.readinessGates, at(path, 'readinessGates'), (gate, where) => {
    qualifiedName(checks, gate.conditionType, at(where, 'conditionType'));
  });
  const seen = new Set<string>();
  checks.each(spec.schedulingGates, at(path, 'schedulingGates'), (gate, where) => {
    const name = stringOf(gate.name);
    for (const problem of qualifiedNameProblems(name)) checks.invalid(where, name, problem);
    if (seen.has(name)) checks.duplicate(where, name);
    seen.add(name);
  });
}

function hostAliasErrors(checks: Checks, aliases: Json | undefined, path: string): void {
  checks.each(aliases, path, (alias, where) => {
    if (!isIp(stringOf(alias.ip)))
      checks.invalid(at(where, 'ip'), alias.ip ?? '', 'must be a valid IP address');
    stringsOf(alias.hostnames).forEach((name, i) => {
      for (const problem of nameProblems(name, 'subdomain'))
        checks.invalid(`${at(where, 'hostnames')}[${i}]`, name, problem);
    });
  });
}

function overheadErrors(checks: Checks, overhead: Json | undefined, path: string): void {
  for (const [name, amount] of Object.entries(objectOf(overhead))) {
    const where = `${path}[${name}]`;
    containerResourceName(checks, name, where);
    resourceAmount(checks, name, amount, where);
  }
}

/** Problems of a pod spec, in pods and in templates. */
export function podSpecErrors(spec: JsonObject, path: string): FieldError[] {
  const checks = new Checks();
  const volumes = volumeErrors(checks, spec.volumes, at(path, 'volumes'));
  containerErrors(checks, spec, path, {
    volumes,
    graceSeconds: numberOf(spec.terminationGracePeriodSeconds) ?? 0,
    isHostNetwork: spec.hostNetwork === true,
  });
  checks.requiredOneOf(spec.restartPolicy, at(path, 'restartPolicy'), restartPolicies);
  checks.requiredOneOf(spec.dnsPolicy, at(path, 'dnsPolicy'), dnsPolicies);
  labels(checks, spec.nodeSelector, at(path, 'nodeSelector'));
  podSecurityErrors(checks, spec, at(path, 'securityContext'));
  affinityErrors(checks, spec.affinity, at(path, 'affinity'));
  dnsErrors(checks, spec, path);
  gateErrors(checks, spec, path);
  spreadErrors(checks, spec.topologySpreadConstraints, at(path, 'topologySpreadConstraints'));
  tolerationErrors(checks, spec.tolerations, at(path, 'tolerations'));
  hostAliasErrors(checks, spec.hostAliases, at(path, 'hostAliases'));
  for (const key of ['serviceAccountName', 'nodeName', 'priorityClassName', 'runtimeClassName'])
    if (!isUnset(spec[key])) checks.name(spec[key], at(path, key), 'subdomain');
  for (const key of ['hostname', 'subdomain'])
    if (!isUnset(spec[key])) checks.name(spec[key], at(path, key), 'label');
  const deadline = numberOf(spec.activeDeadlineSeconds);
  if (deadline !== undefined && (deadline < 1 || deadline > int32Max))
    checks.invalid(
      at(path, 'activeDeadlineSeconds'),
      deadline,
      `must be between 1 and ${int32Max}, inclusive`,
    );
  if (!isUnset(spec.preemptionPolicy))
    checks.oneOf(spec.preemptionPolicy, at(path, 'preemptionPolicy'), ['Never', 'PreemptLowerPriority']);
  overheadErrors(checks, spec.overhead, at(path, 'overhead'));
  const os = objectOf(spec.os).name;
  if (isObject(spec.os)) checks.requiredOneOf(os, at(path, 'os'), ['linux', 'windows']);
  return checks.errors;
}

/** Problems of a pod's own spec that templates do not have. */
export function newPodErrors(spec: JsonObject): FieldError[] {
  const checks = new Checks();
  if (objectsOf(spec.ephemeralContainers).length > 0)
    checks.forbidden('spec.ephemeralContainers', 'cannot be set on create');
  if (!isUnset(spec.nodeName) && objectsOf(spec.schedulingGates).length > 0)
    checks.forbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared');
  return checks.errors;
}
