import { isIp } from '#base/net/address.js';
import { isObject, type Json, type JsonObject, objectOf, objectsOf, stringOf } from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { nameProblems } from '../../registry/names.js';
import { specOf, type Strategy } from '../../registry/resource.js';
import { ipAddress } from '../validation/addresses.js';
import { at, Checks, isUnset, portNameProblems } from '../validation/checks.js';

const classAnnotation = 'kubernetes.io/ingress.class';
const pathTypes = ['Exact', 'ImplementationSpecific', 'Prefix'];
const badSequences = ['//', '/./', '/../', '%2f', '%2F'];
const badSuffixes = ['/..', '/.'];
const wildcard = /^\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const wildcardDetail =
  "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

function hostErrors(checks: Checks, host: string, path: string): void {
  if (host.includes('*')) {
    if (!wildcard.test(host)) checks.invalid(path, host, wildcardDetail);
    return;
  }
  for (const problem of nameProblems(host, 'subdomain')) checks.invalid(path, host, problem);
}

/** A reference to an object of any kind in the same namespace. */
function typedReferenceErrors(checks: Checks, ref: JsonObject, path: string): void {
  if (ref.apiGroup !== undefined) checks.name(ref.apiGroup, at(path, 'apiGroup'), 'subdomain');
  for (const key of ['kind', 'name'])
    checks.requiredName(ref[key], at(path, key), 'path', `${key} is required`);
}

function backendErrors(checks: Checks, backend: Json | undefined, path: string): void {
  const { service, resource } = objectOf(backend);
  if (isObject(resource) && isObject(service)) {
    checks.invalid(path, '', 'cannot set both resource and service backends');
  } else if (isObject(resource)) {
    typedReferenceErrors(checks, resource, at(path, 'resource'));
  } else if (isObject(service)) {
    checks.requiredName(service.name, at(path, 'service.name'), 'label1035');
    const { name, number } = objectOf(service.port);
    const hasNumber = number !== undefined && number !== 0;
    if (!isUnset(name) && hasNumber) checks.invalid(path, '', 'cannot set both port name & port number');
    else if (!isUnset(name)) {
      for (const problem of portNameProblems(stringOf(name)))
        checks.invalid(at(path, 'service.port.name'), name, problem);
    } else if (hasNumber) checks.port(number, at(path, 'service.port.number'));
    else checks.required(path, 'port name or number is required');
  } else checks.invalid(path, '', 'resource or service backend is required');
}

function pathErrors(checks: Checks, item: JsonObject, path: string): void {
  const text = stringOf(item.path);
  const type = stringOf(item.pathType);
  const where = at(path, 'path');
  if (type === '') {
    checks.required(at(path, 'pathType'), 'pathType must be specified');
    return;
  }
  const isPlain = type === 'Exact' || type === 'Prefix';
  if (!pathTypes.includes(type)) checks.notSupported(at(path, 'pathType'), type, pathTypes);
  else if (!text.startsWith('/') && (isPlain || text !== ''))
    checks.invalid(where, text, 'must be an absolute path');
  if (isPlain) {
    for (const bad of badSequences.filter((b) => text.includes(b)))
      checks.invalid(where, text, `must not contain '${bad}'`);
    for (const bad of badSuffixes.filter((b) => text.endsWith(b)))
      checks.invalid(where, text, `cannot end with '${bad}'`);
  }
  backendErrors(checks, item.backend, at(path, 'backend'));
}

function specErrors(checks: Checks, spec: JsonObject): void {
  if (spec.defaultBackend === undefined && objectsOf(spec.rules).length === 0)
    checks.invalid('spec', spec, 'either `defaultBackend` or `rules` must be specified');
  if (isObject(spec.defaultBackend)) backendErrors(checks, spec.defaultBackend, 'spec.defaultBackend');
  checks.each(spec.rules, 'spec.rules', (rule, where) => {
    const host = stringOf(rule.host);
    if (isIp(host)) checks.invalid(at(where, 'host'), host, 'must be a DNS name, not an IP address');
    if (host !== '') hostErrors(checks, host, at(where, 'host'));
    if (!isObject(rule.http)) return;
    if (objectsOf(rule.http.paths).length === 0) checks.required(at(where, 'http.paths'));
    checks.each(rule.http.paths, at(where, 'http.paths'), (item, path) => {
      pathErrors(checks, item, path);
    });
  });
  checks.each(spec.tls, 'spec.tls', (tls, where) => {
    (Array.isArray(tls.hosts) ? tls.hosts : []).forEach((host, i) => {
      hostErrors(checks, stringOf(host), `${at(where, 'hosts')}[${i}]`);
    });
    if (!isUnset(tls.secretName)) checks.name(tls.secretName, at(where, 'secretName'), 'subdomain');
  });
  if (spec.ingressClassName !== undefined)
    checks.name(spec.ingressClassName, 'spec.ingressClassName', 'subdomain');
}

/** The class of a new ingress by annotation must be the one of its spec. */
function classErrors(checks: Checks, { metadata, spec }: ApiObject): void {
  const isNew = metadata.resourceVersion === undefined || metadata.resourceVersion === '';
  const byAnnotation = metadata.annotations?.[classAnnotation];
  const byField = objectOf(spec).ingressClassName;
  if (isNew && byAnnotation !== undefined && byField !== undefined && byAnnotation !== byField) {
    checks.invalid(
      `annotations.${classAnnotation}`,
      byAnnotation,
      'must match `ingressClassName` when both are specified',
    );
  }
}

/** Ingresses. */
export const ingressStrategy: Strategy = {
  validate: (object) => {
    const checks = new Checks();
    specErrors(checks, specOf(object));
    classErrors(checks, object);
    return checks.errors;
  },
  validateStatus: (object) => {
    const checks = new Checks();
    const { ingress } = objectOf(objectOf(object.status).loadBalancer);
    checks.each(ingress, 'status.loadBalancer.ingress', (item, where) => {
      const host = stringOf(item.hostname);
      if (!isUnset(item.ip)) ipAddress(checks, item.ip, at(where, 'ip'));
      if (host === '') return;
      hostErrors(checks, host, at(where, 'hostname'));
      if (isIp(host)) checks.invalid(at(where, 'hostname'), host, 'must be a DNS name, not an IP address');
    });
    return checks.errors;
  },
};

const controllerMaxLength = 250;

/** IngressClasses. */
export const ingressClassStrategy: Strategy = {
  defaults: (draft) => {
    const { parameters } = specOf(draft);
    if (isObject(parameters)) parameters.scope ??= 'Cluster';
  },
  validate: (object) => {
    const checks = new Checks();
    const spec = specOf(object);
    const controller = stringOf(spec.controller);
    const [domain = '', ...rest] = controller.split('/');
    if (controller === '') checks.required('spec.controller');
    else if (rest.join('/') === '' || nameProblems(domain, 'subdomain').length > 0) {
      checks.invalid('spec.controller', controller, 'must be a domain-prefixed path (such as "acme.io/foo")');
    }
    if (controller.length > controllerMaxLength) checks.tooLong('spec.controller', controllerMaxLength);
    checks.within(spec.parameters, 'spec.parameters', (parameters, path) => {
      typedReferenceErrors(checks, parameters, path);
      const { scope, namespace } = parameters;
      checks.oneOf(scope, at(path, 'scope'), ['Cluster', 'Namespace']);
      if (scope === 'Namespace')
        checks.requiredName(
          namespace,
          at(path, 'namespace'),
          'label',
          "`parameters.scope` is set to 'Namespace'",
        );
      if (scope === 'Cluster' && namespace !== undefined)
        checks.forbidden(at(path, 'namespace'), "`parameters.scope` is set to 'Cluster'");
    });
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    checks.immutable(specOf(object).controller, specOf(old).controller, 'spec.controller');
    return checks.errors;
  },
};
