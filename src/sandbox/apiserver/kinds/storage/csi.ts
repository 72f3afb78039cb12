import { equalJson, numberOf, objectOf, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { csiErrors } from '../pods/volume-errors.js';
import { at, Checks } from '../validation/checks.js';
import { compareQuantities } from '../validation/quantities.js';
import { labelSelector, qualifiedName } from '../validation/selectors.js';

const nodeIdMaxLength = 256;
const fsGroupPolicies = ['File', 'None', 'ReadWriteOnceWithFSType'];
const lifecycleModes = ['Ephemeral', 'Persistent'];

/** CSIDrivers. */
export const csiDriverStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.attachRequired ??= true;
    for (const key of ['podInfoOnMount', 'storageCapacity', 'requiresRepublish', 'seLinuxMount'])
      spec[key] ??= false;
    spec.fsGroupPolicy ??= 'ReadWriteOnceWithFSType';
    if (stringsOf(spec.volumeLifecycleModes).length === 0) spec.volumeLifecycleModes = ['Persistent'];
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    checks.oneOf(spec.fsGroupPolicy, 'spec.fsGroupPolicy', fsGroupPolicies);
    const audiences = new Set<string>();
    checks.each(spec.tokenRequests, 'spec.tokenRequests', (request, path) => {
      const audience = stringOf(request.audience);
      if (audiences.has(audience)) {
        checks.duplicate(at(path, 'audience'), audience);
        return;
      }
      audiences.add(audience);
      const seconds = numberOf(request.expirationSeconds);
      if (seconds === undefined) return;
      if (seconds < 600)
        checks.invalid(
          at(path, 'expirationSeconds'),
          seconds,
          'may not specify a duration less than 10 minutes',
        );
      if (seconds > 2 ** 32)
        checks.invalid(
          at(path, 'expirationSeconds'),
          seconds,
          'may not specify a duration larger than 2^32 seconds',
        );
    });
    for (const mode of stringsOf(spec.volumeLifecycleModes))
      checks.oneOf(mode, 'spec.volumeLifecycleModes', lifecycleModes);
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    const now = specOf(object);
    const before = specOf(old);
    checks.immutable(now.attachRequired, before.attachRequired, 'spec.attachedRequired');
    checks.immutable(now.volumeLifecycleModes, before.volumeLifecycleModes, 'spec.volumeLifecycleModes');
    return checks.errors;
  },
};

/** CSINodes. */
export const csiNodeStrategy: Strategy = {
  validate: (object) => {
    const checks = new Checks();
    const names = new Set<string>();
    checks.each(specOf(object).drivers, 'spec.drivers', (driver, path) => {
      csiErrors(checks, { driver: driver.name }, path);
      const nodeId = stringOf(driver.nodeID);
      if (nodeId === '') checks.required(at(path, 'nodeID'));
      if (nodeId.length > nodeIdMaxLength)
        checks.invalid(at(path, 'nodeID'), nodeId, `must be ${nodeIdMaxLength} characters or less`);
      checks.nonNegative(objectOf(driver.allocatable).count, at(path, 'allocatable.count'));
      const name = stringOf(driver.name);
      if (names.has(name)) checks.duplicate(at(path, 'name'), name);
      names.add(name);
      const keys = stringsOf(driver.topologyKeys);
      keys.forEach((key, i) => {
        if (key === '') checks.required(path);
        if (keys.indexOf(key) < i) checks.duplicate(path, key);
        qualifiedName(checks, key, path);
      });
    });
    // The driver's name stands under `name` here.
    return checks.errors.map((e) =>
      e.field.endsWith('.driver') ? { ...e, field: e.field.replace(/\.driver$/, '.name') } : e,
    );
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    for (const before of objectsOf(specOf(old).drivers)) {
      const now = objectsOf(specOf(object).drivers).find((d) => d.name === before.name);
      if (now !== undefined && !equalJson(now, before))
        checks.invalid('CSINodeDriver', now, 'field is immutable');
    }
    return checks.errors;
  },
};

/** CSIStorageCapacities. */
export const csiStorageCapacityStrategy: Strategy = {
  validate: (object) => {
    const checks = new Checks();
    labelSelector(checks, object.nodeTopology, 'nodeTopology');
    checks.name(object.storageClassName, 'storageClassName', 'subdomain');
    if (object.capacity !== undefined && compareQuantities(object.capacity, '0') < 0)
      checks.invalid('capacity', object.capacity, 'must be greater than or equal to 0');
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    checks.immutable(object.nodeTopology, old.nodeTopology, 'nodeTopology');
    checks.immutable(object.storageClassName, old.storageClassName, 'storageClassName');
    return checks.errors;
  },
};
