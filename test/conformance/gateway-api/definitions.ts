import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import type { CustomResourceDefinition } from '#base/kube/types.js';
import { renderCrds } from '#mesh/templates/crds.js';
import { readTemplateFiles } from '#mesh/templates/files.js';
import { pattern } from './corpus.js';

/** The part of a CRD's schema that the corpus answers for. */
interface Schema {
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly required?: readonly string[];
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly maxProperties?: number;
  readonly 'x-kubernetes-list-type'?: string;
  readonly 'x-kubernetes-validations'?: readonly { readonly rule: string; readonly message: string }[];
}

/** A folder of CRDs that are tried instead of ours: `GATEWAY_API_CRDS=published npx vitest ...`. */
export const otherDefinitions = process.env['GATEWAY_API_CRDS'];

/** Definitions of the Gateway API: ours, or those of the folder. */
export function gatewayApiDefinitions(): readonly CustomResourceDefinition[] {
  const all =
    otherDefinitions === undefined
      ? renderCrds(readTemplateFiles()).map(({ document }) => document as unknown)
      : readdirSync(otherDefinitions)
          .filter((name) => name.endsWith('.yaml'))
          .flatMap((name) => parseAllDocuments(readFileSync(join(otherDefinitions ?? '', name), 'utf8')))
          .map((document) => document.toJS() as unknown);
  return (all as CustomResourceDefinition[]).filter(
    (crd) => crd.kind === 'CustomResourceDefinition' && crd.spec.group === 'gateway.networking.k8s.io',
  );
}

/** What a definition demands, each as `path` or `path: what`, positions left out. */
export interface Demands {
  readonly fields: readonly string[];
  readonly sizes: readonly string[];
  readonly required: readonly string[];
  readonly rules: readonly string[];
}

export function demandsOf(crd: CustomResourceDefinition, version: string): Demands {
  const found = {
    fields: new Set<string>(),
    sizes: new Set<string>(),
    required: new Set<string>(),
    rules: new Set<string>(),
  };
  const visit = (schema: Schema, path: string): void => {
    const { properties, items, additionalProperties, required = [] } = schema;
    const listType = schema['x-kubernetes-list-type'];
    if (schema.minItems !== undefined || schema.maxItems !== undefined || schema.maxProperties !== undefined)
      found.sizes.add(path);
    if (listType === 'map' || listType === 'set') found.sizes.add(path);
    for (const name of required) found.required.add(`${path}: ${name}`);
    for (const { rule, message } of schema['x-kubernetes-validations'] ?? []) {
      if (!rule.includes('oldSelf')) found.rules.add(`${path}: ${message}`);
    }
    for (const [name, field] of Object.entries(properties ?? {}))
      visit(field, path === '' ? name : `${path}.${name}`);
    if (items !== undefined) visit(items, `${path}[]`);
    if (additionalProperties !== undefined) visit(additionalProperties, `${path}.*`);
    if (properties === undefined && items === undefined && additionalProperties === undefined)
      found.fields.add(path);
  };
  const { openAPIV3Schema } = crd.spec.versions.find((v) => v.name === version)?.schema ?? {};
  const {
    apiVersion: _a,
    kind: _k,
    metadata: _m,
    ...properties
  } = (openAPIV3Schema as Schema).properties ?? {};
  visit({ ...(openAPIV3Schema as Schema), properties }, '');
  return {
    fields: [...found.fields].toSorted(),
    sizes: [...found.sizes].toSorted(),
    required: [...found.required].toSorted(),
    rules: [...found.rules].toSorted(),
  };
}

/** A corpus path as {@link demandsOf} writes it; keys of free-form maps become `*`. */
export function demandPath(path: string): string {
  return pattern(path)
    .replace(/\["[^"]+"\]/g, '.*')
    .replace(/(\.labels|\.matchLabels|\.annotations|\.options)\.[^.[]+$/, '$1.*');
}
