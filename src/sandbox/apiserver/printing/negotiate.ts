/** What form of an answer the client prefers. */
export type AnswerForm = 'object' | 'table' | 'metadata';

/** Reads an Accept header: the first form in it that we can give. */
export function negotiateForm(accept: string | undefined): AnswerForm {
  for (const part of (accept ?? '').split(',')) {
    const [type = '', ...parameters] = part.split(';').map((p) => p.trim());
    const as = parameters.find((p) => p.startsWith('as='))?.slice(3);
    if (type !== 'application/json' && type !== '*/*' && type !== 'application/*' && type !== '') continue;
    if (as === 'Table') return 'table';
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') return 'metadata';
    if (as === undefined) return 'object';
  }
  return 'object';
}
