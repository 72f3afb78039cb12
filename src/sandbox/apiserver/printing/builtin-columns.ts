import type { Column } from '../registry/resource.js';

/** Columns of built-in kinds by qualified plural. */
export const builtinColumns: Readonly<Record<string, readonly Column[]>> = {};
