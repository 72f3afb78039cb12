import { objectsOf } from '../../../base/json.js';
import type { Strategy } from '../../registry/resource.js';
import { ipAddress, usableAddress } from '../validation/addresses.js';
import { at, Checks, isUnset } from '../validation/checks.js';

const protocols = ['SCTP', 'TCP', 'UDP'];

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
          ipAddress(checks, address.ip, at(where, 'ip'));
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
