import { equalJson, objectsOf, stringMapOf, stringOf, stringsOf } from '../../../base/json.js';
import { allMetadata, type Strategy } from '../../registry/resource.js';
import { at, Checks, isUnset } from '../validation/checks.js';
import { qualifiedName } from '../validation/selectors.js';

const parameterLimits = { count: 512, bytes: 256 * 1024 } as const;

/** StorageClasses. */
export const storageClassStrategy: Strategy = {
  defaults: (draft) => {
    draft.reclaimPolicy ??= 'Delete';
    draft.volumeBindingMode ??= 'Immediate';
  },
  validate: (object) => {
    const checks = new Checks();
    if (isUnset(object.provisioner)) checks.required('provisioner');
    else qualifiedName(checks, stringOf(object.provisioner).toLowerCase(), 'provisioner');
    const parameters = Object.entries(stringMapOf(object.parameters));
    if (parameters.length > parameterLimits.count) checks.tooLong('parameters', parameterLimits.count);
    for (const [key] of parameters)
      if (key === '') checks.invalid('parameters', key, 'field can not be empty.');
    const bytes = parameters.reduce((sum, [k, v]) => sum + Buffer.byteLength(k) + Buffer.byteLength(v), 0);
    if (bytes > parameterLimits.bytes) checks.tooLong('parameters', parameterLimits.bytes);
    checks.oneOf(object.reclaimPolicy, 'reclaimPolicy', ['Delete', 'Retain']);
    checks.requiredOneOf(object.volumeBindingMode, 'volumeBindingMode', [
      'Immediate',
      'WaitForFirstConsumer',
    ]);
    checks.each(object.allowedTopologies, 'allowedTopologies', (term, path) => {
      const keys = new Set<string>();
      checks.each(term.matchLabelExpressions, at(path, 'matchLabelExpressions'), (expression, where) => {
        const values = stringsOf(expression.values);
        if (values.length === 0) checks.required(at(where, 'values'));
        values.forEach((value, i) => {
          if (values.indexOf(value) < i) checks.duplicate(`${at(where, 'values')}[${i}]`, value);
        });
        qualifiedName(checks, expression.key, at(where, 'key'));
        const key = stringOf(expression.key);
        if (keys.has(key)) checks.duplicate(at(where, 'key'), key);
        keys.add(key);
      });
    });
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    for (const key of ['parameters', 'provisioner', 'reclaimPolicy'])
      if (!equalJson(object[key], old[key])) checks.forbidden(key, `updates to ${key} are forbidden.`);
    checks.immutable(object.volumeBindingMode, old.volumeBindingMode, 'volumeBindingMode');
    return checks.errors;
  },
};

/** VolumeAttachments. */
export const volumeAttachmentStrategy: Strategy = {
  keptByStatus: allMetadata,
  validate: (object) => {
    const checks = new Checks();
    const [spec = {}] = objectsOf([object.spec ?? {}]);
    const [source = {}] = objectsOf([spec.source ?? {}]);
    const attacher = stringOf(spec.attacher);
    if (attacher === '') checks.required('spec.attacher');
    const given = ['inlineVolumeSpec', 'persistentVolumeName'].filter((k) => source[k] !== undefined);
    const detail = 'must specify exactly one of inlineVolumeSpec and persistentVolumeName';
    if (given.length === 0) checks.required('spec.source', detail);
    else if (given.length > 1) checks.forbidden('spec.source', detail);
    else if (source.persistentVolumeName !== undefined)
      checks.requiredName(
        source.persistentVolumeName,
        'spec.source.persistentVolumeName',
        'subdomain',
        'must specify non empty persistentVolumeName',
      );
    checks.name(spec.nodeName, 'spec.nodeName', 'subdomain');
    // The driver's name, checked on its own as for every CSI driver.
    if (attacher === '') checks.required('spec.attacher');
    checks.name(attacher.toLowerCase(), 'spec.attacher', 'subdomain');
    return checks.errors;
  },
  validateUpdate: (object, old) => {
    const checks = new Checks();
    checks.immutable(object.spec, old.spec, 'spec');
    return checks.errors;
  },
};
