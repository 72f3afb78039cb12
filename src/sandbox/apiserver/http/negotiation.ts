import { apiError, ApiError } from '../api-error.js';

/** What an answer holds: the object itself, a table for people, or only the metadata. */
export type AnswerForm = 'object' | 'table' | 'metadata';

/** The answer a client asked for and the server can give. */
export interface Accepted {
  readonly serializer: 'json' | 'yaml' | 'protobuf';
  readonly form: AnswerForm;
  /** The client asked for a list of metadata, which a single object cannot be. */
  readonly isListForm: boolean;
  /** The version of meta.k8s.io that tables and metadata are given in. */
  readonly metaVersion: 'v1' | 'v1beta1';
}

export const acceptedByDefault: Accepted = {
  serializer: 'json',
  form: 'object',
  isListForm: false,
  metaVersion: 'v1',
};

/** Kubernetes' own encoding of the built-in kinds. */
export const protobufType = 'application/vnd.kubernetes.protobuf';
/** The media types objects are served and taken in. */
export const servedTypes = ['application/json', 'application/yaml', protobufType];
const answeredTypes = [
  ['application/json', 'json'],
  ['application/yaml', 'yaml'],
  [protobufType, 'protobuf'],
] as const;

interface Clause {
  readonly type: string;
  readonly parameters: ReadonlyMap<string, string>;
  readonly quality: number;
}

function clausesOf(header: string): Clause[] {
  return header
    .split(',')
    .map((part): Clause => {
      const [type = '', ...rest] = part.split(';').map((p) => p.trim());
      const parameters = new Map(
        rest.map((p): [string, string] => {
          const at = p.indexOf('=');
          return at < 0 ? [p, ''] : [p.slice(0, at).trim(), p.slice(at + 1).trim()];
        }),
      );
      const quality = Number(parameters.get('q') ?? 1);
      return { type: type.toLowerCase(), parameters, quality: Number.isFinite(quality) ? quality : 0 };
    })
    .filter((c) => c.type !== '' && c.quality > 0)
    .sort((a, b) => b.quality - a.quality);
}

function isMatch(wanted: string, offered: string): boolean {
  return (
    wanted === '*/*' ||
    wanted === offered ||
    (wanted.endsWith('/*') && offered.startsWith(wanted.slice(0, -1)))
  );
}

/** The form that the parameters of one clause ask for; undefined when it is not one of ours. */
function formOf(
  parameters: ReadonlyMap<string, string>,
  allowsTable: boolean,
): Omit<Accepted, 'serializer'> | undefined {
  const as = parameters.get('as');
  if (as === undefined) return acceptedByDefault;
  const metaVersion = parameters.get('v');
  if (parameters.get('g') !== 'meta.k8s.io' || (metaVersion !== 'v1' && metaVersion !== 'v1beta1'))
    return undefined;
  if (as === 'Table') return allowsTable ? { form: 'table', isListForm: false, metaVersion } : undefined;
  if (as !== 'PartialObjectMetadata' && as !== 'PartialObjectMetadataList') return undefined;
  return { form: 'metadata', isListForm: as === 'PartialObjectMetadataList', metaVersion };
}

/** What of the forms that the server knows an endpoint cannot give. */
export interface FormLimits {
  /** False for reviews, and for watches that begin with the existing objects: Kubernetes has no tables of them. */
  readonly allowsTable?: boolean;
  /** Custom resources have no messages in protobuf; their metadata has. */
  readonly isCustom?: boolean;
}

/** Tables are for people: there is no message for them. */
function isGivenInProtobuf({ form, metaVersion }: Omit<Accepted, 'serializer'>, limits: FormLimits): boolean {
  if (form === 'object') return limits.isCustom !== true;
  return form === 'metadata' && metaVersion === 'v1';
}

/**
 * Picks the first form in an Accept header that can be given, by quality.
 * Throws 406 when there is none.
 */
export function negotiate(accept: string | undefined, limits: FormLimits = {}): Accepted {
  if (accept === undefined || accept.trim() === '') return acceptedByDefault;
  let isTypeKnown = false;
  for (const clause of clausesOf(accept)) {
    for (const [type, serializer] of answeredTypes) {
      if (!isMatch(clause.type, type)) continue;
      isTypeKnown = true;
      const form = formOf(clause.parameters, limits.allowsTable !== false);
      if (form === undefined) continue;
      if (serializer !== 'protobuf' || isGivenInProtobuf(form, limits)) return { ...form, serializer };
    }
  }
  if (isTypeKnown) throw apiError.notAcceptable(servedTypes.join(', '));
  throw new ApiError(
    406,
    'NotAcceptable',
    `406: Not Acceptable\n\nAvailable representations: ${servedTypes.join(', ')}`,
    {},
  );
}
