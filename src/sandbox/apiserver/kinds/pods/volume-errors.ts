import { isObject, type Json, type JsonObject, numberOf, objectsOf, stringOf } from '../../../base/json.js';
import { parseQuantity } from '../../../base/quantity.js';
import { persistentClaimSpecErrors } from '../validation/claim-errors.js';
import { at, Checks, isUnset } from '../validation/checks.js';
import { fieldRefErrors, resourceFieldErrors } from './env-errors.js';

const hostPathTypes = [
  '',
  'BlockDevice',
  'CharDevice',
  'Directory',
  'DirectoryOrCreate',
  'File',
  'FileOrCreate',
  'Socket',
];
const fileModeMax = 0o777;
const fileModeDetail = 'must be a number between 0 and 0777 (octal), both inclusive';

/** A path below a volume: relative and never leading out of it. */
export function localPathErrors(checks: Checks, value: Json | undefined, path: string): void {
  const text = stringOf(value);
  if (text.startsWith('/')) checks.invalid(path, text, 'must be a relative path');
  backstepErrors(checks, text, path);
}

function backstepErrors(checks: Checks, text: string, path: string): void {
  if (text.split('/').includes('..')) checks.invalid(path, text, "must not contain '..'");
}

function fileNameErrors(checks: Checks, value: Json | undefined, path: string): void {
  localPathErrors(checks, value, path);
  const text = stringOf(value);
  if (text.startsWith('..') && !text.split('/').includes('..'))
    checks.invalid(path, text, "must not start with '..'");
}

function modeErrors(checks: Checks, value: Json | undefined, path: string): void {
  const mode = numberOf(value);
  if (mode !== undefined && (mode < 0 || mode > fileModeMax)) checks.invalid(path, mode, fileModeDetail);
}

function itemErrors(checks: Checks, items: Json | undefined, path: string): void {
  checks.each(items, path, (item, itemPath) => {
    if (isUnset(item.key)) checks.required(at(itemPath, 'key'));
    if (isUnset(item.path)) checks.required(at(itemPath, 'path'));
    else fileNameErrors(checks, item.path, at(itemPath, 'path'));
    modeErrors(checks, item.mode, at(itemPath, 'mode'));
  });
}

/** Files of the downward API. Their errors name the source, not the item: so does Kubernetes. */
function downwardErrors(checks: Checks, items: Json | undefined, path: string): void {
  for (const item of objectsOf(items)) {
    if (isUnset(item.path)) checks.required(at(path, 'path'));
    else fileNameErrors(checks, item.path, at(path, 'path'));
    if (isObject(item.fieldRef)) {
      fieldRefErrors(checks, item.fieldRef, at(path, 'fieldRef'), 'volume');
      if (isObject(item.resourceFieldRef))
        checks.invalid(path, 'resource', 'fieldRef and resourceFieldRef can not be specified simultaneously');
    } else if (isObject(item.resourceFieldRef)) {
      resourceFieldErrors(checks, item.resourceFieldRef, at(path, 'resourceFieldRef'), 'volume');
    } else checks.required(path, 'one of fieldRef and resourceFieldRef is required');
    modeErrors(checks, item.mode, at(path, 'mode'));
  }
}

function projectedErrors(checks: Checks, projected: JsonObject, path: string): void {
  modeErrors(checks, projected.defaultMode, at(path, 'defaultMode'));
  checks.each(projected.sources, at(path, 'sources'), (source, sourcePath) => {
    for (const kind of ['secret', 'configMap']) {
      checks.within(source[kind], at(sourcePath, kind), (s, p) => {
        if (isUnset(s.name)) checks.required(at(p, 'name'));
        itemErrors(checks, s.items, at(p, 'items'));
      });
    }
    checks.within(source.downwardAPI, at(sourcePath, 'downwardAPI'), (s, p) => {
      downwardErrors(checks, s.items, p);
    });
    checks.within(source.serviceAccountToken, at(sourcePath, 'serviceAccountToken'), (s, p) => {
      const seconds = numberOf(s.expirationSeconds) ?? 0;
      if (seconds < 600)
        checks.invalid(
          at(p, 'expirationSeconds'),
          seconds,
          'may not specify a duration less than 10 minutes',
        );
      if (seconds > 2 ** 32)
        checks.invalid(
          at(p, 'expirationSeconds'),
          seconds,
          'may not specify a duration larger than 2^32 seconds',
        );
      if (isUnset(s.path)) checks.required(at(path, 'path'));
      else fileNameErrors(checks, s.path, at(path, 'path'));
    });
    const given = Object.keys(source).filter((k) => isObject(source[k]));
    if (given.length > 1) checks.forbidden(sourcePath, 'may not specify more than 1 volume type per source');
  });
}

type SourceCheck = (checks: Checks, source: JsonObject, path: string) => void;

/** Checks of the volume sources, in the order in which a second one is found to be too many. */
const sourceChecks: Readonly<Record<string, SourceCheck | undefined>> = {
  emptyDir: (checks, source, path) => {
    if ((parseQuantity(source.sizeLimit) ?? 0) < 0)
      checks.forbidden(at(path, 'sizeLimit'), 'SizeLimit field must be a valid resource quantity');
  },
  hostPath: hostPathErrors,
  gitRepo: (checks, source, path) => {
    if (isUnset(source.repository)) checks.required(at(path, 'repository'));
    localPathErrors(checks, source.directory, at(path, 'directory'));
  },
  gcePersistentDisk: needs('pdName'),
  awsElasticBlockStore: needs('volumeID'),
  secret: (checks, source, path) => {
    if (isUnset(source.secretName)) checks.required(at(path, 'secretName'));
    modeErrors(checks, source.defaultMode, at(path, 'defaultMode'));
    itemErrors(checks, source.items, at(path, 'items'));
  },
  nfs: nfsErrors,
  iscsi: needs('targetPortal', 'iqn'),
  glusterfs: needs('endpoints', 'path'),
  flocker: undefined,
  persistentVolumeClaim: needs('claimName'),
  rbd: needs('image'),
  cinder: needs('volumeID'),
  cephfs: undefined,
  quobyte: needs('registry', 'volume'),
  downwardAPI: (checks, source, path) => {
    modeErrors(checks, source.defaultMode, at(path, 'defaultMode'));
    downwardErrors(checks, source.items, path);
  },
  fc: undefined,
  flexVolume: needs('driver'),
  configMap: (checks, source, path) => {
    if (isUnset(source.name)) checks.required(at(path, 'name'));
    modeErrors(checks, source.defaultMode, at(path, 'defaultMode'));
    itemErrors(checks, source.items, at(path, 'items'));
  },
  azureFile: needs('secretName', 'shareName'),
  vsphereVolume: needs('volumePath'),
  photonPersistentDisk: needs('pdID'),
  portworxVolume: needs('volumeID'),
  azureDisk: needs('diskName', 'diskURI'),
  storageos: undefined,
  projected: projectedErrors,
  scaleIO: needs('gateway', 'system', 'volumeName'),
  csi: csiErrors,
  ephemeral: (checks, source, path) => {
    if (!isObject(source.volumeClaimTemplate)) checks.required(at(path, 'volumeClaimTemplate'));
    checks.within(source.volumeClaimTemplate, at(path, 'volumeClaimTemplate'), (template, p) => {
      persistentClaimSpecErrors(checks, template.spec, at(p, 'spec'));
    });
  },
  image: (checks, source, path) => {
    if (isUnset(source.reference)) checks.required(at(path, 'reference'));
  },
};

function needs(...keys: readonly string[]): SourceCheck {
  return (checks, source, path) => {
    for (const key of keys) if (isUnset(source[key])) checks.required(at(path, key));
  };
}

/** A folder of the node. */
export function hostPathErrors(checks: Checks, source: JsonObject, path: string): void {
  if (isUnset(source.path)) {
    checks.required(at(path, 'path'));
    return;
  }
  backstepErrors(checks, stringOf(source.path), at(path, 'path'));
  if (!hostPathTypes.includes(stringOf(source.type)))
    checks.notSupported(at(path, 'type'), source.type, hostPathTypes.slice(1));
}

/** An NFS export. */
export function nfsErrors(checks: Checks, source: JsonObject, path: string): void {
  for (const key of ['server', 'path']) if (isUnset(source[key])) checks.required(at(path, key));
  if (!stringOf(source.path).startsWith('/'))
    checks.invalid(at(path, 'path'), source.path ?? '', 'must be an absolute path');
}

/** A CSI driver's name. */
export function csiErrors(checks: Checks, source: JsonObject, path: string): void {
  const driver = stringOf(source.driver);
  if (driver === '') checks.required(at(path, 'driver'));
  if (driver.length > 63) checks.tooLong(at(path, 'driver'), 63);
  checks.name(driver.toLowerCase(), at(path, 'driver'), 'subdomain');
}

/** The sources that may stand in a volume, in Kubernetes' order. */
export const volumeSources: readonly string[] = Object.keys(sourceChecks);

/** Checks the volumes of a pod; returns them by name. */
export function volumeErrors(
  checks: Checks,
  volumes: Json | undefined,
  path: string,
): Map<string, JsonObject> {
  const byName = new Map<string, JsonObject>();
  checks.each(volumes, path, (volume, where) => {
    const found = new Checks();
    const given = volumeSources.filter((s) => isObject(volume[s]));
    given.forEach((kind, i) => {
      const source = volume[kind];
      if (i > 0) found.forbidden(at(where, kind), 'may not specify more than 1 volume type');
      else if (isObject(source)) sourceChecks[kind]?.(found, source, at(where, kind));
    });
    if (given.length === 0) found.required(where, 'must specify a volume type');
    checks.errors.push(...found.errors);
    const name = stringOf(volume.name);
    const named = new Checks();
    named.requiredName(name, at(where, 'name'), 'label');
    if (byName.has(name)) named.duplicate(at(where, 'name'), name);
    checks.errors.push(...named.errors);
    if (named.errors.length === 0 && found.errors.length === 0) byName.set(name, volume);
    else if (named.errors.length === 0) byName.set(name, volume);
  });
  return byName;
}
