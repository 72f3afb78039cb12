import { type FieldError, fieldError } from '../api-error.js';
import { type JsonObject, numberOf, stringOf } from '../../base/json.js';
import { keyProblem, nameProblems } from '../registry/names.js';

const protocols = ['SCTP', 'TCP', 'UDP'];

/** Problems of a service's ports. */
export function portErrors(ports: readonly JsonObject[]): FieldError[] {
  const errors: FieldError[] = [];
  const names = new Set<string>();
  const inRange = 'must be between 1 and 65535, inclusive';
  const isPort = (n: number): boolean => n >= 1 && n <= 65_535;
  ports.forEach((port, i) => {
    const at = `spec.ports[${i}]`;
    const name = stringOf(port.name);
    if (name === '' && ports.length > 1) errors.push(fieldError.required(`${at}.name`));
    if (name !== '') {
      errors.push(
        ...nameProblems(name, 'label').map((problem) => fieldError.invalid(`${at}.name`, name, problem)),
      );
      if (names.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name));
      names.add(name);
    }
    const number = numberOf(port.port) ?? 0;
    if (!isPort(number)) errors.push(fieldError.invalid(`${at}.port`, number, inRange));
    if (!protocols.includes(stringOf(port.protocol)))
      errors.push(fieldError.notSupported(`${at}.protocol`, port.protocol, protocols));
    const target = port.targetPort;
    if (typeof target === 'string')
      errors.push(
        ...portNameProblems(target).map((problem) => fieldError.invalid(`${at}.targetPort`, target, problem)),
      );
    else if (!isPort(numberOf(target) ?? 0))
      errors.push(fieldError.invalid(`${at}.targetPort`, numberOf(target) ?? 0, inRange));
    const appProtocol = stringOf(port.appProtocol);
    const problem = appProtocol === '' ? undefined : keyProblem(appProtocol);
    if (problem !== undefined) errors.push(fieldError.invalid(`${at}.appProtocol`, appProtocol, problem));
  });
  const seen = new Set<string>();
  ports.forEach((port, i) => {
    const key = `${numberOf(port.port) ?? 0}/${stringOf(port.protocol)}`;
    if (seen.has(key)) errors.push(duplicatePort(port, i));
    seen.add(key);
  });
  return errors;
}

/** Servers show the port here as Go prints the fields that count. */
function duplicatePort(port: JsonObject, i: number): FieldError {
  const target = 'intstr.IntOrString{Type:0, IntVal:0, StrVal:""}';
  const shown = `core.ServicePort{Name:"", Protocol:${JSON.stringify(port.protocol)}, AppProtocol:(*string)(nil), Port:${numberOf(port.port) ?? 0}, TargetPort:${target}, NodePort:0}`;
  return { ...fieldError.duplicate(`spec.ports[${i}]`, ''), message: `Duplicate value: ${shown}` };
}

/** What is wrong with the name of a container's port (IANA service name). */
function portNameProblems(name: string): string[] {
  return [
    ...(name.length > 15 ? ['must be no more than 15 characters'] : []),
    ...(/^[-a-z0-9]+$/.test(name)
      ? []
      : ['must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)']),
    ...(/[a-z]/.test(name) ? [] : ['must contain at least one letter (a-z)']),
    ...(name.includes('--') ? ['must not contain consecutive hyphens'] : []),
    ...(/^-|-$/.test(name) ? ['must not begin or end with a hyphen'] : []),
  ];
}
