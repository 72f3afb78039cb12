import { canonicalQuantity } from '../../../base/exact-quantity.js';
import { parseQuantity } from '../../../base/quantity.js';
import type { Json } from '../../../base/json.js';
import { qualifiedNameProblems } from '../../registry/names.js';
import { type Checks, nonNegativeDetail } from './checks.js';

const containerResources: ReadonlySet<string> = new Set(['cpu', 'memory', 'ephemeral-storage']);
/** Resources that are counted in whole objects. */
const integerResources: ReadonlySet<string> = new Set([
  'pods',
  'resourcequotas',
  'services',
  'replicationcontrollers',
  'secrets',
  'configmaps',
  'persistentvolumeclaims',
  'services.nodeports',
  'services.loadbalancers',
]);
const quotaResources: ReadonlySet<string> = new Set([
  ...containerResources,
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
  'requests.storage',
  ...integerResources,
]);
const standardResources: ReadonlySet<string> = new Set([...quotaResources, 'storage']);

/** A resource of a vendor's own, such as example.com/gpu. */
export function isExtendedResource(name: string): boolean {
  return name.includes('/') && !/^(?:[^/]*\.)?kubernetes\.io\//.test(name) && !name.startsWith('requests.');
}

export function isHugePages(name: string): boolean {
  return name.startsWith('hugepages-');
}

/** A resource that containers ask for. */
export function containerResourceName(checks: Checks, name: string, path: string): void {
  if (!resourceName(checks, name, path) || name.includes('/')) return;
  if (!containerResources.has(name) && !isHugePages(name))
    checks.invalid(path, name, 'must be a standard resource for containers');
}

/** A resource that quotas limit. */
export function quotaResourceName(checks: Checks, name: string, path: string): void {
  if (!resourceName(checks, name, path) || name.includes('/')) return;
  if (!quotaResources.has(name) && !isHugePages(name) && !name.startsWith('requests.hugepages-'))
    checks.invalid(path, name, 'must be a standard resource for quota');
}

/** A resource name at large; false when a further look at it is pointless. */
export function resourceName(checks: Checks, name: string, path: string): boolean {
  const problems = qualifiedNameProblems(name);
  for (const problem of problems) checks.invalid(path, name, problem);
  const isKnown =
    name.includes('/') ||
    standardResources.has(name) ||
    isHugePages(name) ||
    /^(requests\.)?hugepages-/.test(name);
  if (problems.length === 0 && !isKnown)
    checks.invalid(path, name, 'must be a standard resource type or fully qualified');
  return true;
}

/** The amount of a resource: not negative, and whole where the resource is counted. */
export function resourceAmount(checks: Checks, name: string, value: Json | undefined, path: string): void {
  const amount = parseQuantity(value) ?? 0;
  if (amount < 0) checks.invalid(path, value, nonNegativeDetail);
  const isCounted = integerResources.has(name) || name.startsWith('count/') || isExtendedResource(name);
  if (isCounted && /[mun]$/.test(canonicalQuantity(value) ?? ''))
    checks.invalid(path, value, 'must be an integer');
}

/** The sign of a difference of two quantities. */
export function compareQuantities(a: Json | undefined, b: Json | undefined): number {
  return Math.sign((parseQuantity(a) ?? 0) - (parseQuantity(b) ?? 0));
}
