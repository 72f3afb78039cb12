import { type FieldError, fieldError } from '../http/api-error.js';
import { isObject, type Json, type JsonObject, numberOf, objectsOf, stringOf } from '../json.js';
import { nameProblem } from '../registry/names.js';
import { quantityProblem } from './quantity.js';

const restartPolicies = ['Always', 'OnFailure', 'Never'];
const dnsPolicies = ['ClusterFirst', 'ClusterFirstWithHostNet', 'Default', 'None'];
const pullPolicies = ['Always', 'IfNotPresent', 'Never'];
const protocols = ['TCP', 'UDP', 'SCTP'];
const envName = /^[-._a-zA-Z][-._a-zA-Z0-9]*$/;
const handlers = ['exec', 'httpGet', 'tcpSocket', 'grpc', 'sleep'];

function portErrors(value: Json | undefined, path: string): FieldError[] {
  const n = numberOf(value);
  if (n === undefined) return [];
  return n < 1 || n > 65_535 ? [fieldError.invalid(path, n, 'must be between 1 and 65535, inclusive')] : [];
}

function handlerErrors(probe: JsonObject, path: string): FieldError[] {
  const given = handlers.filter((h) => isObject(probe[h]));
  if (given.length === 0) return [fieldError.required(path, 'must specify a handler type')];
  if (given.length > 1)
    return [fieldError.forbidden(`${path}.${given[1]}`, 'may not specify more than 1 handler type')];
  const handler = given[0] ?? '';
  const target = probe[handler];
  if (!isObject(target)) return [];
  if (handler === 'exec' && !Array.isArray(target.command))
    return [fieldError.required(`${path}.exec.command`)];
  if (handler !== 'exec' && handler !== 'sleep') {
    if (target.port === undefined) return [fieldError.required(`${path}.${handler}.port`)];
    return portErrors(target.port, `${path}.${handler}.port`);
  }
  return [];
}

function probeErrors(probe: Json | undefined, path: string, isReadiness: boolean): FieldError[] {
  if (!isObject(probe)) return [];
  const errors = handlerErrors(probe, path);
  for (const key of [
    'initialDelaySeconds',
    'timeoutSeconds',
    'periodSeconds',
    'successThreshold',
    'failureThreshold',
  ]) {
    const n = numberOf(probe[key]);
    if (n !== undefined && n < 0)
      errors.push(fieldError.invalid(`${path}.${key}`, n, 'must be greater than or equal to 0'));
  }
  if (!isReadiness && (numberOf(probe.successThreshold) ?? 1) !== 1) {
    errors.push(fieldError.invalid(`${path}.successThreshold`, probe.successThreshold, 'must be 1'));
  }
  return errors;
}

function resourceErrors(resources: Json | undefined, path: string): FieldError[] {
  if (!isObject(resources)) return [];
  const errors: FieldError[] = [];
  for (const kind of ['limits', 'requests'] as const) {
    for (const [name, value] of Object.entries(isObject(resources[kind]) ? resources[kind] : {})) {
      const problem = quantityProblem(value);
      if (problem !== undefined) errors.push(fieldError.invalid(`${path}.${kind}[${name}]`, value, problem));
    }
  }
  return errors;
}

function containerErrors(container: JsonObject, path: string, volumes: ReadonlySet<string>): FieldError[] {
  const errors: FieldError[] = [];
  const name = stringOf(container.name);
  if (name === '') errors.push(fieldError.required(`${path}.name`));
  else if (nameProblem(name, 'label') !== undefined) {
    errors.push(fieldError.invalid(`${path}.name`, name, nameProblem(name, 'label') ?? ''));
  }
  const image = stringOf(container.image);
  if (image === '') errors.push(fieldError.required(`${path}.image`));
  else if (image.trim() !== image) {
    errors.push(fieldError.invalid(`${path}.image`, image, 'must not have leading or trailing whitespace'));
  }
  if (!pullPolicies.includes(stringOf(container.imagePullPolicy))) {
    errors.push(fieldError.notSupported(`${path}.imagePullPolicy`, container.imagePullPolicy, pullPolicies));
  }
  objectsOf(container.ports).forEach((port, i) => {
    const at = `${path}.ports[${i}]`;
    if (port.containerPort === undefined) errors.push(fieldError.required(`${at}.containerPort`));
    errors.push(
      ...portErrors(port.containerPort, `${at}.containerPort`),
      ...portErrors(port.hostPort, `${at}.hostPort`),
    );
    if (!protocols.includes(stringOf(port.protocol))) {
      errors.push(fieldError.notSupported(`${at}.protocol`, port.protocol, protocols));
    }
  });
  objectsOf(container.env).forEach((env, i) => {
    const key = stringOf(env.name);
    if (key === '') errors.push(fieldError.required(`${path}.env[${i}].name`));
    else if (!envName.test(key)) {
      errors.push(
        fieldError.invalid(
          `${path}.env[${i}].name`,
          key,
          "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
        ),
      );
    }
    if (env.valueFrom !== undefined && stringOf(env.value) !== '') {
      errors.push(
        fieldError.invalid(
          `${path}.env[${i}].valueFrom`,
          '',
          'may not be specified when `value` is not empty',
        ),
      );
    }
  });
  const mounts = new Set<string>();
  objectsOf(container.volumeMounts).forEach((mount, i) => {
    const at = `${path}.volumeMounts[${i}]`;
    const volume = stringOf(mount.name);
    const where = stringOf(mount.mountPath);
    if (volume === '') errors.push(fieldError.required(`${at}.name`));
    else if (!volumes.has(volume)) errors.push(fieldError.notFound(`${at}.name`, volume));
    if (where === '') errors.push(fieldError.required(`${at}.mountPath`));
    if (mounts.has(where)) errors.push(fieldError.invalid(`${at}.mountPath`, where, 'must be unique'));
    mounts.add(where);
  });
  for (const probe of ['livenessProbe', 'readinessProbe', 'startupProbe']) {
    errors.push(...probeErrors(container[probe], `${path}.${probe}`, probe === 'readinessProbe'));
  }
  for (const hook of ['postStart', 'preStop']) {
    const handler = isObject(container.lifecycle) ? container.lifecycle[hook] : undefined;
    if (isObject(handler)) errors.push(...handlerErrors(handler, `${path}.lifecycle.${hook}`));
  }
  errors.push(...resourceErrors(container.resources, `${path}.resources`));
  return errors;
}

/**
 * Problems of a pod spec, in Kubernetes' words. `claims`: names of volumes that a
 * StatefulSet adds to its pods.
 */
export function podSpecErrors(spec: JsonObject, path: string, claims: readonly string[] = []): FieldError[] {
  const errors: FieldError[] = [];
  const volumes = new Set<string>();
  objectsOf(spec.volumes).forEach((volume, i) => {
    const name = stringOf(volume.name);
    const at = `${path}.volumes[${i}]`;
    if (name === '') errors.push(fieldError.required(`${at}.name`));
    else if (nameProblem(name, 'label') !== undefined) {
      errors.push(fieldError.invalid(`${at}.name`, name, nameProblem(name, 'label') ?? ''));
    }
    if (volumes.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name));
    volumes.add(name);
    const sources = Object.keys(volume).filter((k) => k !== 'name' && isObject(volume[k]));
    if (sources.length > 1) {
      errors.push(fieldError.forbidden(`${at}.${sources[1]}`, 'may not specify more than 1 volume type'));
    }
  });
  for (const claim of claims) volumes.add(claim);
  const names = new Set<string>();
  const main = objectsOf(spec.containers);
  if (main.length === 0) errors.push(fieldError.required(`${path}.containers`));
  for (const list of ['containers', 'initContainers', 'ephemeralContainers']) {
    objectsOf(spec[list]).forEach((container, i) => {
      const at = `${path}.${list}[${i}]`;
      errors.push(...containerErrors(container, at, volumes));
      const name = stringOf(container.name);
      if (name !== '' && names.has(name)) errors.push(fieldError.duplicate(`${at}.name`, name));
      names.add(name);
    });
  }
  if (!restartPolicies.includes(stringOf(spec.restartPolicy))) {
    errors.push(fieldError.notSupported(`${path}.restartPolicy`, spec.restartPolicy, restartPolicies));
  }
  if (!dnsPolicies.includes(stringOf(spec.dnsPolicy))) {
    errors.push(fieldError.notSupported(`${path}.dnsPolicy`, spec.dnsPolicy, dnsPolicies));
  }
  const grace = numberOf(spec.terminationGracePeriodSeconds);
  if (grace !== undefined && grace < 0) {
    errors.push(
      fieldError.invalid(
        `${path}.terminationGracePeriodSeconds`,
        grace,
        'must be greater than or equal to 0',
      ),
    );
  }
  const account = stringOf(spec.serviceAccountName);
  if (account !== '' && nameProblem(account, 'subdomain') !== undefined) {
    errors.push(
      fieldError.invalid(`${path}.serviceAccountName`, account, nameProblem(account, 'subdomain') ?? ''),
    );
  }
  return errors;
}
