import { type FieldError, fieldError } from '../http/api-error.js';
import { numberOf, objectsOf, stringOf } from '../json.js';
import type { KubeObject } from '../object.js';
import { nameProblem } from '../registry/names.js';
import { specOf, type Strategy } from '../registry/resource.js';

const types = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const protocols = ['SCTP', 'TCP', 'UDP'];

function validate(service: KubeObject): FieldError[] {
  const errors: FieldError[] = [];
  const spec = specOf(service);
  const type = stringOf(spec.type);
  if (!types.includes(type)) errors.push(fieldError.notSupported('spec.type', type, types));
  const ports = objectsOf(spec.ports);
  if (ports.length === 0 && type !== 'ExternalName' && spec.clusterIP !== 'None') {
    errors.push(fieldError.required('spec.ports'));
  }
  if (type === 'ExternalName' && stringOf(spec.externalName) === '') {
    errors.push(fieldError.required('spec.externalName'));
  }
  const names = new Set<string>();
  const numbers = new Set<string>();
  ports.forEach((port, i) => {
    const at = `spec.ports[${i}]`;
    const name = stringOf(port.name);
    const number = numberOf(port.port);
    if (name === '' && ports.length > 1) errors.push(fieldError.required(`${at}.name`));
    if (name !== '') {
      const problem = nameProblem(name, 'label');
      if (problem !== undefined) errors.push(fieldError.invalid(`${at}.name`, name, problem));
      if (names.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name));
      names.add(name);
    }
    if (number === undefined || number < 1 || number > 65_535) {
      errors.push(fieldError.invalid(`${at}.port`, number ?? 0, 'must be between 1 and 65535, inclusive'));
    }
    const target = port.targetPort;
    if (typeof target === 'number' && (target < 1 || target > 65_535)) {
      errors.push(fieldError.invalid(`${at}.targetPort`, target, 'must be between 1 and 65535, inclusive'));
    }
    if (!protocols.includes(stringOf(port.protocol))) {
      errors.push(fieldError.notSupported(`${at}.protocol`, port.protocol, protocols));
    }
    const key = `${String(number)}/${stringOf(port.protocol)}`;
    if (numbers.has(key)) errors.push(fieldError.duplicate(at, { port: number, protocol: port.protocol }));
    numbers.add(key);
  });
  return errors;
}

/** Services. Addresses are given out in admission. */
export const serviceStrategy: Strategy = {
  defaults: (draft) => {
    const spec = specOf(draft);
    spec.type ??= 'ClusterIP';
    spec.sessionAffinity ??= 'None';
    if (spec.sessionAffinity === 'ClientIP')
      spec.sessionAffinityConfig ??= { clientIP: { timeoutSeconds: 10_800 } };
    if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
    if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') spec.externalTrafficPolicy ??= 'Cluster';
    else delete spec.externalTrafficPolicy;
    if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
    for (const port of objectsOf(spec.ports)) {
      port.protocol ??= 'TCP';
      if (port.targetPort === undefined || port.targetPort === '' || port.targetPort === 0) {
        if (port.port !== undefined) port.targetPort = port.port;
      }
    }
  },
  prepareCreate: (draft) => {
    draft.status = { loadBalancer: {} };
  },
  validate,
  validateUpdate: (service, old) => {
    const before = stringOf(specOf(old).clusterIP);
    const now = stringOf(specOf(service).clusterIP);
    const isFree =
      specOf(service).type === 'ExternalName' || specOf(old).type === 'ExternalName' || before === '';
    return isFree || now === before ? [] : [fieldError.invalid('spec.clusterIP', now, 'field is immutable')];
  },
};
