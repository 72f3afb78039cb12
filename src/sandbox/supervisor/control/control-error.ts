import { MeshError, messageOf } from '#base/errors/mesh-error.js';
import { filesError } from '../files-error.js';

/** A refusal of the supervisor, as JSON. */
export interface ErrorDocument {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly evidence?: string | undefined;
    readonly hint?: string | undefined;
  };
}

/** What goes over the wire for anything thrown. */
export function controlErrorDocument(error: unknown): ErrorDocument {
  const known = error instanceof MeshError ? error : filesError(error, 'the folder of the sandbox');
  if (known === undefined) return { error: { code: 'MESH0815', message: messageOf(error) } };
  const { code, message, evidence, hint } = known;
  return { error: { code, message, evidence, hint } };
}

/** The error a refusal stands for; undefined when the text is no refusal. */
export function parseErrorDocument(text: string): MeshError | undefined {
  try {
    const { error } = JSON.parse(text) as Partial<ErrorDocument>;
    if (typeof error?.code !== 'string') return undefined;
    return new MeshError(error.code, error.message, { evidence: error.evidence, hint: error.hint });
  } catch {
    return undefined;
  }
}
