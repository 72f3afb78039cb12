import { ipFamilyOf } from '#base/net/address.js';
import { type JsonObject, objectOf, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
import { nameProblems } from '../../registry/names.js';
import type { Strategy } from '../../registry/resource.js';
import { ipAddress, usableAddress } from '../validation/addresses.js';
import { at, Checks, isUnset } from '../validation/checks.js';
import { qualifiedName } from '../validation/selectors.js';

const addressTypes = ['FQDN', 'IPv4', 'IPv6'];
const protocols = ['SCTP', 'TCP', 'UDP'];
const limits = { endpoints: 1000, addresses: 100, ports: 20_000, hints: 8 } as const;

function addressErrors(checks: Checks, address: string, type: string, path: string): void {
  if (type === 'FQDN') {
    const name = address.replace(/\.$/, '');
    const problems = nameProblems(name, 'subdomain');
    for (const problem of problems) checks.invalid(path, address, problem);
    if (problems.length === 0 && !name.includes('.'))
      checks.invalid(path, address, 'should be a domain with at least two segments separated by dots');
    return;
  }
  const family = ipFamilyOf(address);
  if (family === undefined) ipAddress(checks, address, path);
  else if (family !== type) {
    checks.invalid(path, address, `must be an ${type} address`);
    return;
  }
  usableAddress(checks, address, path);
}

function endpointErrors(checks: Checks, endpoint: JsonObject, type: string, path: string): void {
  const addresses = stringsOf(endpoint.addresses);
  if (addresses.length === 0) checks.required(at(path, 'addresses'), 'must contain at least 1 address');
  else if (addresses.length > limits.addresses)
    checks.tooMany(at(path, 'addresses'), addresses.length, limits.addresses);
  addresses.forEach((address, i) => {
    addressErrors(checks, address, type, `${at(path, 'addresses')}[${i}]`);
  });
  if (endpoint.nodeName !== undefined) {
    for (const problem of nameProblems(stringOf(endpoint.nodeName), 'subdomain').slice(0, 1))
      checks.invalid(at(path, 'nodeName'), endpoint.nodeName, problem);
  }
  if (endpoint.hostname !== undefined) checks.name(endpoint.hostname, at(path, 'hostname'), 'label');
  const zones = objectsOf(objectOf(endpoint.hints).forZones);
  if (zones.length > limits.hints) checks.tooMany(at(path, 'hints.forZones'), zones.length, limits.hints);
  checks.each(zones, at(path, 'hints.forZones'), (zone, where) => {
    for (const problem of nameProblems(stringOf(zone.name), 'label'))
      checks.invalid(at(where, 'name'), zone.name ?? '', problem);
  });
}

/** EndpointSlices. */
export const endpointSliceStrategy: Strategy = {
  defaults: (draft) => {
    for (const port of objectsOf(draft.ports)) {
      port.name ??= '';
      port.protocol ??= 'TCP';
    }
  },
  validate: (object) => {
    const checks = new Checks();
    const type = stringOf(object.addressType);
    checks.requiredOneOf(type, 'addressType', addressTypes);
    const endpoints = objectsOf(object.endpoints);
    if (endpoints.length > limits.endpoints) checks.tooMany('endpoints', endpoints.length, limits.endpoints);
    if (addressTypes.includes(type)) {
      checks.each(endpoints, 'endpoints', (endpoint, path) => {
        endpointErrors(checks, endpoint, type, path);
      });
    }
    const names = new Set<string>();
    checks.each(object.ports, 'ports', (port, path) => {
      const name = stringOf(port.name);
      if (name !== '') checks.name(name, at(path, 'name'), 'label');
      if (names.has(name)) checks.duplicate(at(path, 'name'), name);
      names.add(name);
      checks.requiredOneOf(port.protocol, at(path, 'protocol'), protocols);
      if (!isUnset(port.appProtocol)) qualifiedName(checks, port.appProtocol, at(path, 'appProtocol'));
    });
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    checks.immutable(object.addressType, old.addressType, 'addressType');
    return checks.errors;
  },
};
