import type { JsonObject } from '../../base/json.js';

/** A schema within a definition, and where it is. */
export interface Place {
  readonly schema: JsonObject;
  readonly path: string;
  readonly depth: number;
}
