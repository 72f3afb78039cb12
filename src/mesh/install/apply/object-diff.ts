import { isMap } from '../../templates/values.js';

/** A field that differs between two versions of an object. */
export interface FieldChange {
  /** Such as `spec.template.spec.containers[0].image`. */
  readonly path: string;
  /** undefined: the field is absent. */
  readonly before: unknown;
  readonly after: unknown;
}

/** Fields of metadata that the server writes. */
const serverFields = new Set([
  'managedFields',
  'resourceVersion',
  'generation',
  'uid',
  'creationTimestamp',
  'selfLink',
]);
/** Likewise among the annotations: it counts with every change of a DaemonSet's template. */
const serverAnnotation = 'deprecated.daemonset.template.generation';
/** Enough to see what is going on. */
const changesMax = 100;

/** Fields that differ, without status and what the server keeps for itself. */
export function objectDiff(before: object, after: object): FieldChange[] {
  const changes: FieldChange[] = [];
  compare(contentOf(before), contentOf(after), '', changes);
  return changes;
}

function contentOf(object: object): unknown {
  const { status: _, metadata, ...rest } = object as Record<string, unknown>;
  if (!isMap(metadata)) return { metadata, ...rest };
  const kept = Object.fromEntries(Object.entries(metadata).filter(([key]) => !serverFields.has(key)));
  if (!isMap(kept['annotations'])) return { metadata: kept, ...rest };
  const { [serverAnnotation]: _count, ...annotations } = kept['annotations'];
  return {
    metadata: { ...kept, annotations: Object.keys(annotations).length > 0 ? annotations : undefined },
    ...rest,
  };
}

function compare(before: unknown, after: unknown, path: string, changes: FieldChange[]): void {
  if (changes.length >= changesMax || Object.is(before, after)) return;
  if (isMap(before) && isMap(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const step = /^[A-Za-z_$][\w-]*$/.test(key) ? key : JSON.stringify(key);
      compare(before[key], after[key], path === '' ? step : `${path}.${step}`, changes);
    }
    return;
  }
  if (Array.isArray(before) && Array.isArray(after)) {
    for (let i = 0; i < Math.max(before.length, after.length); i++) {
      compare(before[i], after[i], `${path}[${i}]`, changes);
    }
    return;
  }
  if (JSON.stringify(before) !== JSON.stringify(after)) changes.push({ path, before, after });
}
