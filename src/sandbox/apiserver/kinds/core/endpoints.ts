import { isIP } from 'node:net';
import { type Json, objectsOf, stringOf } from '../../json.js';
import type { Strategy } from '../../registry/resource.js';
import { at, Checks, isUnset } from '../validation/checks.js';

const protocols = ['SCTP', 'TCP', 'UDP'];

/** An address that traffic can be sent to: not unspecified, loopback, link-local. */
export function usableAddress(checks: Checks, value: Json | undefined, path: string): void {
  const ip = stringOf(value);
  const family = isIP(ip);
  if (family === 0) {
    checks.invalid(path, ip, 'must be a valid IP address');
    return;
  }
  const low = ip.toLowerCase();
  if (ip === '0.0.0.0' || low === '::') checks.invalid(path, ip, `may not be unspecified (${ip})`);
  if (ip.startsWith('127.') || low === '::1')
    checks.invalid(path, ip, 'may not be in the loopback range (127.0.0.0/8, ::1/128)');
  if (ip.startsWith('169.254.') || /^fe[89ab]/.test(low))
    checks.invalid(path, ip, 'may not be in the link-local range (169.254.0.0/16, fe80::/10)');
  if (ip.startsWith('224.0.0.') || low.startsWith('ff02:'))
    checks.invalid(path, ip, 'may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)');
}

/** Any IP address. */
export function ipAddress(checks: Checks, value: Json | undefined, path: string): void {
  if (isIP(stringOf(value)) === 0)
    checks.invalid(path, value ?? '', 'must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)');
}

/** Endpoints. */
export const endpointsStrategy: Strategy = {
  defaults: (draft) => {
    for (const subset of objectsOf(draft.subsets))
      for (const port of objectsOf(subset.ports)) port.protocol ??= 'TCP';
  },
  validate: (object) => {
    const checks = new Checks();
    checks.each(object.subsets, 'subsets', (subset, path) => {
      const lists = ['addresses', 'notReadyAddresses'];
      if (lists.every((list) => objectsOf(subset[list]).length === 0))
        checks.required(path, 'must specify `addresses` or `notReadyAddresses`');
      for (const list of lists) {
        checks.each(subset[list], at(path, list), (address, where) => {
          if (isIP(stringOf(address.ip)) === 0) ipAddress(checks, address.ip, at(where, 'ip'));
          if (!isUnset(address.hostname)) checks.name(address.hostname, at(where, 'hostname'), 'label');
          if (!isUnset(address.nodeName)) checks.name(address.nodeName, at(where, 'nodeName'), 'subdomain');
          usableAddress(checks, address.ip, at(where, 'ip'));
        });
      }
      const isNameNeeded = objectsOf(subset.ports).length > 1;
      checks.each(subset.ports, at(path, 'ports'), (port, where) => {
        if (isUnset(port.name)) {
          if (isNameNeeded) checks.required(at(where, 'name'));
        } else checks.name(port.name, at(where, 'name'), 'label');
        checks.port(port.port, at(where, 'port'));
        checks.requiredOneOf(port.protocol, at(where, 'protocol'), protocols);
      });
    });
    return checks.errors;
  },
};
