import { isIp } from '#base/net/address.js';
import { parseNetwork } from '#base/net/cidr.js';
import { type IpRange, isInRange } from '#base/net/ranges.js';
import { type Json, stringOf } from '../../../base/json.js';
import type { Checks } from './checks.js';

/** What an address that is none should look like. */
export const ipForm = 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)';
/** What a network that is none should look like. */
export const networkForm = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';

const unusable: readonly (readonly [IpRange, string])[] = [
  ['loopback', 'may not be in the loopback range (127.0.0.0/8, ::1/128)'],
  ['linkLocal', 'may not be in the link-local range (169.254.0.0/16, fe80::/10)'],
  ['linkLocalMulticast', 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)'],
];

/** Any IP address. */
export function ipAddress(checks: Checks, value: Json | undefined, path: string): void {
  if (!isIp(stringOf(value))) checks.invalid(path, value ?? '', ipForm);
}

/** A network such as 10.0.0.0/8. */
export function network(checks: Checks, value: Json | undefined, path: string): boolean {
  const text = stringOf(value);
  if (parseNetwork(text) !== undefined) return true;
  checks.invalid(path, text, networkForm);
  return false;
}

/** Why traffic cannot be sent to an address from elsewhere. */
export function rangeProblems(ip: string): string[] {
  const unspecified = isInRange(ip, 'unspecified') ? [`may not be unspecified (${ip})`] : [];
  return [...unspecified, ...unusable.flatMap(([range, problem]) => (isInRange(ip, range) ? [problem] : []))];
}

/** An address that traffic can be sent to: not unspecified, loopback, link-local. */
export function usableAddress(checks: Checks, value: Json | undefined, path: string): void {
  const ip = stringOf(value);
  if (isIp(ip)) for (const problem of rangeProblems(ip)) checks.invalid(path, ip, problem);
  else checks.invalid(path, ip, 'must be a valid IP address');
}
