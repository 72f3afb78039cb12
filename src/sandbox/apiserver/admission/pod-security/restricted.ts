import { pluralFor } from '#base/collections/counted.js';
import { type JsonObject, objectOf, objectsOf, stringOf, stringsOf } from '../../../base/json.js';
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

const volumeTypes: ReadonlySet<string> = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);
const profiles: ReadonlySet<string> = new Set(['Localhost', 'RuntimeDefault']);

const allowPrivilegeEscalation: PodSecurityCheck = ({ spec }) => {
  const names = namesWhere(spec, (c) => contextOf(c).allowPrivilegeEscalation !== false);
  return names.length === 0
    ? undefined
    : {
        reason: 'allowPrivilegeEscalation != false',
        detail: `${containers(names)} must set securityContext.allowPrivilegeEscalation=false`,
      };
};

const capabilities: PodSecurityCheck = ({ spec }) => {
  const missing = namesWhere(
    spec,
    (c) => !stringsOf(objectOf(contextOf(c).capabilities).drop).includes('ALL'),
  );
  const forbidden = new Set<string>();
  const adding = namesWhere(spec, (c) => {
    const added = stringsOf(objectOf(contextOf(c).capabilities).add).filter(
      (name) => name !== 'NET_BIND_SERVICE',
    );
    for (const name of added) forbidden.add(name);
    return added.length > 0;
  });
  const details = [
    ...(missing.length > 0
      ? [`${containers(missing)} must set securityContext.capabilities.drop=["ALL"]`]
      : []),
    ...(adding.length > 0
      ? [
          `${containers(adding)} must not include ${quoted(distinct([...forbidden]))} in securityContext.capabilities.add`,
        ]
      : []),
  ];
  return details.length === 0
    ? undefined
    : { reason: 'unrestricted capabilities', detail: details.join('; ') };
};

const volumes: PodSecurityCheck = ({ spec }) => {
  const types = new Set<string>();
  const names = objectsOf(spec.volumes)
    .filter((volume) => {
      const bad = Object.keys(volume).filter((key) => key !== 'name' && !volumeTypes.has(key));
      for (const type of bad) types.add(type);
      return bad.length > 0;
    })
    .map((v) => stringOf(v.name));
  if (names.length === 0) return undefined;
  const isOne = names.length === 1;
  return {
    reason: 'restricted volume types',
    detail: `${pluralFor(names.length, 'volume')} ${quoted(names)} ${isOne ? 'uses' : 'use'} restricted volume ${pluralFor(types.size, 'type')} ${quoted(distinct([...types]))}`,
  };
};

const runAsNonRoot: PodSecurityCheck = ({ spec }) => {
  const ofPod = contextOf(spec).runAsNonRoot;
  const explicit = namesWhere(spec, (c) => contextOf(c).runAsNonRoot === false);
  const implicit = namesWhere(spec, (c) => contextOf(c).runAsNonRoot === undefined && ofPod !== true);
  const setters = [
    // The pod's own setting counts when it is wrong, even if every container overrides it.
    ...(ofPod === false ? ['pod'] : []),
    ...(explicit.length > 0 ? [containers(explicit)] : []),
  ];
  if (setters.length > 0) {
    return {
      reason: 'runAsNonRoot != true',
      detail: `${setters.join(' and ')} must not set securityContext.runAsNonRoot=false`,
    };
  }
  if (implicit.length === 0) return undefined;
  return {
    reason: 'runAsNonRoot != true',
    detail: `pod or ${containers(implicit)} must set securityContext.runAsNonRoot=true`,
  };
};

const runAsUser: PodSecurityCheck = ({ spec }) => {
  const isRoot = (owner: JsonObject): boolean => contextOf(owner).runAsUser === 0;
  const names = namesWhere(spec, isRoot);
  const setters = [...(isRoot(spec) ? ['pod'] : []), ...(names.length > 0 ? [containers(names)] : [])];
  return setters.length === 0
    ? undefined
    : { reason: 'runAsUser=0', detail: `${setters.join(' and ')} must not set runAsUser=0` };
};

const seccomp: PodSecurityCheck = ({ spec }) => {
  const typeOf = (owner: JsonObject): string => stringOf(objectOf(contextOf(owner).seccompProfile).type);
  const ofPod = typeOf(spec);
  const explicit = allContainers(spec).filter((c) => typeOf(c) !== '' && !profiles.has(typeOf(c)));
  const setters = [
    ...(ofPod !== '' && !profiles.has(ofPod) ? ['pod'] : []),
    ...(explicit.length > 0 ? [containers(explicit.map((c) => stringOf(c.name)))] : []),
  ];
  if (setters.length > 0) {
    const values = distinct([ofPod, ...explicit.map(typeOf)].filter((t) => t !== '' && !profiles.has(t)));
    return {
      reason: 'seccompProfile',
      detail: `${setters.join(' and ')} must not set securityContext.seccompProfile.type to ${quoted(values)}`,
    };
  }
  if (profiles.has(ofPod)) return undefined;
  const implicit = namesWhere(spec, (c) => typeOf(c) === '');
  if (implicit.length === 0) return undefined;
  return {
    reason: 'seccompProfile',
    detail: `pod or ${containers(implicit)} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"`,
  };
};

const onLinux =
  (check: PodSecurityCheck): PodSecurityCheck =>
  (subject) =>
    isWindows(subject.spec) ? undefined : check(subject);

/** The checks that the restricted level adds, and the baseline checks that they stand in for. */
export const restrictedChecks: readonly PodSecurityCheck[] = [
  onLinux(allowPrivilegeEscalation),
  onLinux(capabilities),
  volumes,
  runAsNonRoot,
  runAsUser,
  onLinux(seccomp),
];
export const replacedByRestricted: ReadonlySet<string> = new Set([
  'capabilities',
  'hostPathVolumes',
  'seccomp',
]);
