import { groupVersionOf } from '#base/kube/resource.js';
import table from './field-numbers.json' with { type: 'json' };

/** What precedes a protobuf-encoded object: "k8s" and a zero byte. */
export const magic = Buffer.from([0x6b, 0x38, 0x73, 0x00]);

/** One field of a message, by its name in JSON. */
export interface Field {
  readonly name: string;
  /** Kept although zero: optional by pointer, or always written. */
  readonly keepsZero: boolean;
  /** Its fields belong to the object around it. */
  readonly isInline: boolean;
  readonly isList: boolean;
  readonly isMap: boolean;
  readonly type: string;
}

const messages: Readonly<Record<string, Readonly<Record<string, string>>>> = table;
const parsed = new Map<string, ReadonlyMap<number, Field>>();

/** The fields of a message by number; undefined for a message that is not in the table. */
export function messageFields(type: string): ReadonlyMap<number, Field> | undefined {
  const known = parsed.get(type);
  if (known !== undefined) return known;
  const shape = messages[type];
  if (shape === undefined) return undefined;
  const fields = new Map<number, Field>();
  for (const [number, text] of Object.entries(shape)) {
    const [head = '', kind = ''] = text.split(' ');
    fields.set(Number(number), {
      name: head.replace(/^[!^]/, ''),
      keepsZero: head.startsWith('!'),
      isInline: head.startsWith('^'),
      isList: kind.startsWith('[]'),
      isMap: kind.startsWith('{}'),
      type: kind.replace(/^(\[\]|\{\})/, ''),
    });
  }
  parsed.set(type, fields);
  return fields;
}

/** Kinds that every group has, and those of meta.k8s.io. */
const metaKinds: ReadonlySet<string> = new Set([
  'DeleteOptions',
  'Status',
  'PartialObjectMetadata',
  'PartialObjectMetadataList',
]);

/** The name of a kind's message in the table. */
export function messageType(apiVersion: string, kind: string): string {
  if (metaKinds.has(kind)) return `meta.${kind}`;
  const { group: fullGroup, version } = groupVersionOf(apiVersion);
  const group = fullGroup.split('.')[0] ?? '';
  const folder = fullGroup.startsWith('rbac.') ? 'rbac' : group === '' ? 'core' : group;
  return `${folder}.${version}.${kind}`;
}
