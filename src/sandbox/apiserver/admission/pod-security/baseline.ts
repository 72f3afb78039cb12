import { pluralFor } from '#base/collections/counted.js';
import { safeSysctls } from '../../../base/safe-sysctls.js';
import { type JsonObject, numberOf, objectOf, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
import {
  allContainers,
  type PodSecurityCheck,
  containers,
  contextOf,
  distinct,
  isWindows,
  namesWhere,
  quoted,
} from './subject.js';

const defaultCapabilities: ReadonlySet<string> = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
]);
const seLinuxTypes: ReadonlySet<string> = new Set([
  '',
  'container_t',
  'container_init_t',
  'container_kvm_t',
  'container_engine_t',
]);
const appArmorPrefix = 'container.apparmor.security.beta.kubernetes.io/';

const appArmor: PodSecurityCheck = ({ spec, annotations }) => {
  const isForbidden = (owner: JsonObject): boolean =>
    objectOf(contextOf(owner).appArmorProfile).type === 'Unconfined';
  const setters: string[] = [];
  const values: string[] = [];
  if (isForbidden(spec)) setters.push('pod');
  const names = namesWhere(spec, isForbidden);
  if (names.length > 0) setters.push(containers(names));
  if (setters.length > 0) values.push('"Unconfined"');
  const marked = Object.entries(annotations)
    .filter(([key, value]) => {
      const isAllowed = value === '' || value === 'runtime/default' || value.startsWith('localhost/');
      return key.startsWith(appArmorPrefix) && !isAllowed;
    })
    .map(([key, value]) => `"${key}=${JSON.stringify(value)}"`)
    .sort();
  if (marked.length > 0) setters.push(pluralFor(marked.length, 'annotation'));
  values.push(...marked);
  if (values.length === 0) return undefined;
  return {
    reason: pluralFor(values.length, 'forbidden AppArmor profile'),
    detail: `${setters.join(' and ')} must not set AppArmor profile type to ${values.join(', ')}`,
  };
};

const capabilities: PodSecurityCheck = ({ spec }) => {
  const forbidden = new Set<string>();
  const names = namesWhere(spec, (container) => {
    const added = stringsOf(objectOf(contextOf(container).capabilities).add).filter(
      (c) => !defaultCapabilities.has(c),
    );
    for (const capability of added) forbidden.add(capability);
    return added.length > 0;
  });
  if (names.length === 0) return undefined;
  return {
    reason: 'non-default capabilities',
    detail: `${containers(names)} must not include ${quoted(distinct([...forbidden]))} in securityContext.capabilities.add`,
  };
};

const hostNamespaces: PodSecurityCheck = ({ spec }) => {
  const set = ['hostNetwork', 'hostPID', 'hostIPC'].filter((field) => spec[field] === true);
  return set.length === 0
    ? undefined
    : { reason: 'host namespaces', detail: set.map((field) => `${field}=true`).join(', ') };
};

const hostPathVolumes: PodSecurityCheck = ({ spec }) => {
  const names = objectsOf(spec.volumes)
    .filter((v) => v.hostPath !== undefined)
    .map((v) => stringOf(v.name));
  return names.length === 0
    ? undefined
    : { reason: 'hostPath volumes', detail: `${pluralFor(names.length, 'volume')} ${quoted(names)}` };
};

const hostPorts: PodSecurityCheck = ({ spec }) => {
  const ports: number[] = [];
  const names = namesWhere(spec, (container) => {
    const used = objectsOf(container.ports)
      .map((p) => numberOf(p.hostPort) ?? 0)
      .filter((p) => p !== 0);
    ports.push(...used);
    return used.length > 0;
  });
  if (names.length === 0) return undefined;
  const shown = distinct(ports.map(String));
  return {
    reason: 'hostPort',
    detail: `${containers(names)} ${names.length === 1 ? 'uses' : 'use'} ${pluralFor(shown.length, 'hostPort')} ${shown.join(', ')}`,
  };
};

const privileged: PodSecurityCheck = ({ spec }) => {
  const names = namesWhere(spec, (c) => contextOf(c).privileged === true);
  return names.length === 0
    ? undefined
    : { reason: 'privileged', detail: `${containers(names)} must not set securityContext.privileged=true` };
};

const procMount: PodSecurityCheck = ({ spec }) => {
  const values: string[] = [];
  const names = namesWhere(spec, (c) => {
    const value = stringOf(contextOf(c).procMount);
    const isForbidden = value !== '' && value !== 'Default';
    if (isForbidden) values.push(value);
    return isForbidden;
  });
  return names.length === 0
    ? undefined
    : {
        reason: 'procMount',
        detail: `${containers(names)} must not set securityContext.procMount to ${quoted(distinct(values))}`,
      };
};

const seLinux: PodSecurityCheck = ({ spec }) => {
  const types: string[] = [];
  const fields = new Set<string>();
  const isForbidden = (owner: JsonObject): boolean => {
    const options = objectOf(contextOf(owner).seLinuxOptions);
    const type = stringOf(options.type);
    const isBadType = !seLinuxTypes.has(type);
    if (isBadType) types.push(type);
    const bad = ['user', 'role'].filter((field) => stringOf(options[field]) !== '');
    for (const field of bad) fields.add(field);
    return isBadType || bad.length > 0;
  };
  const setters: string[] = isForbidden(spec) ? ['pod'] : [];
  const names = namesWhere(spec, isForbidden);
  if (names.length > 0) setters.push(containers(names));
  if (setters.length === 0) return undefined;
  const details = [
    ...(types.length > 0 ? [`${pluralFor(distinct(types).length, 'type')} ${quoted(distinct(types))}`] : []),
    ...['user', 'role'].filter((field) => fields.has(field)).map((field) => `${field} may not be set`),
  ];
  return {
    reason: 'seLinuxOptions',
    detail: `${setters.join(' and ')} set forbidden securityContext.seLinuxOptions: ${details.join('; ')}`,
  };
};

const seccomp: PodSecurityCheck = ({ spec }) => {
  const isForbidden = (owner: JsonObject): boolean =>
    objectOf(contextOf(owner).seccompProfile).type === 'Unconfined';
  const setters: string[] = isForbidden(spec) ? ['pod'] : [];
  const names = namesWhere(spec, isForbidden);
  if (names.length > 0) setters.push(containers(names));
  if (setters.length === 0) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `${setters.join(' and ')} must not set securityContext.seccompProfile.type to "Unconfined"`,
  };
};

const sysctls: PodSecurityCheck = ({ spec }) => {
  const forbidden = objectsOf(contextOf(spec).sysctls)
    .map((s) => stringOf(s.name))
    .filter((name) => !safeSysctls.has(name));
  return forbidden.length === 0 ? undefined : { reason: 'forbidden sysctls', detail: forbidden.join(', ') };
};

const hostProcess: PodSecurityCheck = ({ spec }) => {
  const isSet = (owner: JsonObject): boolean =>
    objectOf(contextOf(owner).windowsOptions).hostProcess === true;
  const setters: string[] = isSet(spec) ? ['pod'] : [];
  const names = allContainers(spec)
    .filter(isSet)
    .map((c) => stringOf(c.name));
  if (names.length > 0) setters.push(containers(names));
  return setters.length === 0
    ? undefined
    : {
        reason: 'hostProcess',
        detail: `${setters.join(' and ')} must not set securityContext.windowsOptions.hostProcess=true`,
      };
};

/** The checks of the baseline level, by name: some are replaced by stricter ones of the restricted level. */
export const baselineChecks: Readonly<Record<string, PodSecurityCheck>> = {
  appArmor,
  capabilities: (s) => (isWindows(s.spec) ? undefined : capabilities(s)),
  hostNamespaces,
  hostPathVolumes,
  hostPorts,
  privileged,
  procMount,
  seLinux,
  seccomp,
  sysctls,
  hostProcess,
};
