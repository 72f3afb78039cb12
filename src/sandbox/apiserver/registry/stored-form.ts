import type { ApiObject } from '../object.js';
import { applyDefaults } from '../schema/defaults.js';
import { dropEmpty, toWireForm } from '../schema/wire-form.js';
import type { ServedResource } from './resource.js';

/** Brings an object, in place, into the one form that its kind has on the wire; custom kinds have any. */
export function toStoredForm(draft: ApiObject, resource: ServedResource): void {
  if (resource.isCustom) return;
  toWireForm(draft, resource.schema);
  // Left out on the wire when empty, but everything here reads it.
  draft.metadata.name ??= '';
}

/** As toStoredForm, but adds nothing: what is absent may still be defaulted. */
export function withoutEmptyFields(draft: ApiObject, resource: ServedResource): void {
  if (resource.isCustom) return;
  dropEmpty(draft, resource.schema);
  draft.metadata.name ??= '';
}

/** Sets, in place, what an object does not say. Idempotent. */
export function setDefaults(resource: ServedResource, draft: ApiObject): void {
  if (resource.isCustom) applyDefaults(draft, resource.schema);
  resource.strategy.defaults?.(draft);
  toStoredForm(draft, resource);
}
