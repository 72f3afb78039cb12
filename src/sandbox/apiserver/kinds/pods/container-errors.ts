import { isObject, type Json, type JsonObject, numberOf, objectsOf, stringOf } from '../../../base/json.js';
import { at, type Checks, isUnset, portNameProblems } from '../validation/checks.js';
import { envErrors, envFromErrors } from './env-errors.js';
import { lifecycleErrors, probeErrors } from './handler-errors.js';
import { mountErrors } from './mount-errors.js';
import { resourceErrors } from './resource-errors.js';
import { containerSecurityErrors } from './security-errors.js';

/** What the checks of a container need to know of its pod. */
export interface ContainerSurroundings {
  readonly volumes: ReadonlyMap<string, JsonObject>;
  readonly graceSeconds: number;
  readonly isHostNetwork: boolean;
}

const pullPolicies = ['Always', 'IfNotPresent', 'Never'];
const protocols = ['SCTP', 'TCP', 'UDP'];

function portErrors(checks: Checks, list: Json | undefined, path: string, isHostNetwork: boolean): void {
  const names = new Set<string>();
  checks.each(list, path, (port, where) => {
    const name = stringOf(port.name);
    if (name !== '') {
      const problems = portNameProblems(name);
      for (const problem of problems) checks.invalid(at(where, 'name'), name, problem);
      if (problems.length === 0 && names.has(name)) checks.duplicate(at(where, 'name'), name);
      names.add(name);
    }
    if ((numberOf(port.containerPort) ?? 0) === 0) checks.required(at(where, 'containerPort'));
    else checks.port(port.containerPort, at(where, 'containerPort'));
    if ((numberOf(port.hostPort) ?? 0) !== 0) checks.port(port.hostPort, at(where, 'hostPort'));
    if (isHostNetwork && (port.hostPort ?? 0) !== port.containerPort) {
      checks.invalid(
        at(where, 'hostPort'),
        port.hostPort ?? 0,
        'must match `containerPort` when `hostNetwork` is true',
      );
    }
    checks.requiredOneOf(port.protocol, at(where, 'protocol'), protocols);
  });
}

/** The part that containers of every sort have in common. */
function commonErrors(checks: Checks, container: JsonObject, path: string, pod: ContainerSurroundings): void {
  checks.requiredName(container.name, at(path, 'name'), 'label');
  const image = stringOf(container.image);
  if (image === '') checks.required(at(path, 'image'));
  else if (image.trim() !== image)
    checks.invalid(at(path, 'image'), image, 'must not have leading or trailing whitespace');
  checks.requiredOneOf(container.terminationMessagePolicy, at(path, 'terminationMessagePolicy'), [
    'FallbackToLogsOnError',
    'File',
  ]);
  checks.requiredOneOf(container.imagePullPolicy, at(path, 'imagePullPolicy'), pullPolicies);
  portErrors(checks, container.ports, at(path, 'ports'), pod.isHostNetwork);
  envErrors(checks, container.env, at(path, 'env'));
  envFromErrors(checks, container.envFrom, at(path, 'envFrom'));
  mountErrors(checks, container, path, pod.volumes);
  resourceErrors(checks, container.resources, at(path, 'resources'));
  containerSecurityErrors(checks, container.securityContext, at(path, 'securityContext'));
}

function probesAndHooks(
  checks: Checks,
  container: JsonObject,
  path: string,
  pod: ContainerSurroundings,
): void {
  lifecycleErrors(checks, container.lifecycle, at(path, 'lifecycle'), pod.graceSeconds);
  for (const kind of ['liveness', 'readiness', 'startup'] as const)
    probeErrors(checks, container[`${kind}Probe`], at(path, `${kind}Probe`), kind);
}

/** Names and host ports must not be taken twice. */
class Taken {
  readonly names = new Set<string>();
  readonly hostPorts = new Set<string>();

  check(checks: Checks, container: JsonObject, path: string, holdsPorts: boolean): void {
    const name = stringOf(container.name);
    if (name !== '' && this.names.has(name)) checks.duplicate(at(path, 'name'), name);
    this.names.add(name);
    if (!holdsPorts) return;
    objectsOf(container.ports).forEach((port, i) => {
      const number = numberOf(port.hostPort) ?? 0;
      if (number === 0) return;
      const key = `${stringOf(port.protocol)}/${stringOf(port.hostIP)}/${number}`;
      if (this.hostPorts.has(key)) checks.duplicate(`${at(path, 'ports')}[${i}].hostPort`, key);
      this.hostPorts.add(key);
    });
  }
}

/** Every container of a pod spec. */
export function containerErrors(
  checks: Checks,
  spec: JsonObject,
  path: string,
  pod: ContainerSurroundings,
): void {
  const taken = new Taken();
  if (objectsOf(spec.containers).length === 0) checks.required(at(path, 'containers'));
  checks.each(spec.containers, at(path, 'containers'), (container, where) => {
    commonErrors(checks, container, where, pod);
    probesAndHooks(checks, container, where, pod);
    if (container.restartPolicy !== undefined)
      checks.forbidden(at(where, 'restartPolicy'), 'may not be set for non-init containers');
    taken.check(checks, container, where, true);
  });
  checks.each(spec.initContainers, at(path, 'initContainers'), (container, where) => {
    commonErrors(checks, container, where, pod);
    const isSidecar = container.restartPolicy === 'Always';
    if (container.restartPolicy !== undefined && !isSidecar)
      checks.notSupported(at(where, 'restartPolicy'), container.restartPolicy, ['Always']);
    if (isSidecar) probesAndHooks(checks, container, where, pod);
    else {
      for (const field of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe']) {
        if (isObject(container[field]))
          checks.forbidden(
            at(where, field),
            'may not be set for init containers without restartPolicy=Always',
          );
      }
    }
    taken.check(checks, container, where, isSidecar);
  });
  checks.each(spec.ephemeralContainers, at(path, 'ephemeralContainers'), (container, where) => {
    ephemeralErrors(checks, container, where, pod, taken.names);
  });
}

/** What an ephemeral container may not have. */
const ephemeralForbidden = [
  'ports',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
  'resources',
];

function ephemeralErrors(
  checks: Checks,
  container: JsonObject,
  path: string,
  pod: ContainerSurroundings,
  names: Set<string>,
): void {
  commonErrors(checks, container, path, { ...pod, isHostNetwork: false });
  const name = stringOf(container.name);
  if (name !== '' && names.has(name)) checks.duplicate(at(path, 'name'), name);
  names.add(name);
  for (const field of ephemeralForbidden) {
    const value = container[field];
    const isEmpty = value === undefined || (isObject(value) && Object.keys(value).length === 0);
    if (!isEmpty) checks.forbidden(at(path, field), 'cannot be set for an Ephemeral Container');
  }
  const target = container.targetContainerName;
  if (!isUnset(target) && !names.has(stringOf(target)))
    checks.notFound(at(path, 'targetContainerName'), target);
}
