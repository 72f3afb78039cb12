import { apiError } from '../api-error.js';
import { cloneJson } from '../../base/json.js';
import type { ApiObject } from '../object.js';
import { prune } from '../schema/prune.js';
import type { ServedResource } from './resource.js';
import type { Target } from './write-options.js';

/** Throws 400 when an applied configuration has fields that nobody could own: unlike other writes, apply refuses them. */
export function assertDeclared(resource: ServedResource, target: Target, body: ApiObject): void {
  const unknown = prune(cloneJson(body), resource.schema, { isRoot: true });
  if (unknown.length === 0) return;
  const where = `${target.namespace ?? ''}/${target.name}; ${resource.group}/${resource.version}`;
  const lines = unknown.map((field) => `.${field}: field not declared in schema`);
  throw apiError.badRequest(
    `failed to create typed patch object (${where}, Kind=${resource.kind}): ${
      lines.length === 1 ? lines[0] : `errors:\n${lines.map((l) => `  ${l}`).join('\n')}`
    }`,
  );
}
