import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { groupVersionOf } from '#base/kube/resource.js';
import type { CustomResourceDefinition, KubeObject } from '#base/kube/types.js';
import { renderCrds } from '../../templates/crds.js';
import { readTemplateFiles } from '../../templates/files.js';
import { coreSchemas, metadataSchema, type ShapeSchema } from './core-schemas.js';

/**
 * Judges objects that no API server has seen: those of Istio and the Gateway API by the schemas of their definitions,
 * Kubernetes' own by the fields that checks read.
 */
export class ManifestShapes {
  // Definitions have words of their own (x-kubernetes-*), and formats that say nothing about the shape.
  readonly #ajv = new Ajv({ strict: false, validateFormats: false, logger: false });
  readonly #validators = new Map<string, ValidateFunction | undefined>();
  readonly #metadata = this.#ajv.compile(metadataSchema);
  #definitions: readonly CustomResourceDefinition[] | undefined;

  /** Why an object is not what its kind asks for; undefined when it is, or its kind is unknown here. */
  problemOf(object: KubeObject): string | undefined {
    if (!this.#metadata(object)) return problemText(this.#metadata.errors);
    const validate = this.#validatorOf(object);
    if (validate === undefined || validate(object)) return undefined;
    return problemText(validate.errors);
  }

  #validatorOf({ apiVersion, kind }: KubeObject): ValidateFunction | undefined {
    const key = `${apiVersion}/${kind}`;
    if (this.#validators.has(key)) return this.#validators.get(key);
    const schema = this.#schemaOf(apiVersion, kind);
    const validator = schema === undefined ? undefined : this.#ajv.compile(schema);
    this.#validators.set(key, validator);
    return validator;
  }

  #schemaOf(apiVersion: string, kind: string): ShapeSchema | undefined {
    const { group, version } = groupVersionOf(apiVersion);
    const core = coreSchemas[`${group}/${kind}`];
    if (core !== undefined || !/(?:^|\.)istio\.io$|^gateway\.networking\.k8s\.io$/.test(group)) return core;
    this.#definitions ??= renderCrds(readTemplateFiles()).map(
      ({ document }) => document as unknown as CustomResourceDefinition,
    );
    const definition = this.#definitions.find(({ spec }) => spec.group === group && spec.names.kind === kind);
    const { versions = [] } = definition?.spec ?? {};
    const found = versions.find(({ name }) => name === version) ?? versions[0];
    return found?.schema?.openAPIV3Schema as ShapeSchema | undefined;
  }
}

/** The deepest complaint: of alternatives, it is about the part that is really wrong. */
function problemText(errors: readonly ErrorObject[] | null | undefined): string {
  const all = errors ?? [];
  const deepest = all.reduce<ErrorObject | undefined>(
    (best, one) => (best === undefined || depthOf(one) > depthOf(best) ? one : best),
    undefined,
  );
  if (deepest === undefined) return 'it is not what its kind asks for';
  const path = deepest.instancePath
    .split('/')
    .slice(1)
    .map((part) =>
      /^\d+$/.test(part) ? `[${part}]` : `.${part.replaceAll('~1', '/').replaceAll('~0', '~')}`,
    )
    .join('')
    .replace(/^\./, '');
  const allowed: unknown = deepest.params['allowedValues'];
  const values = Array.isArray(allowed) ? `: ${allowed.join(', ')}` : '';
  return `${path === '' ? 'the object' : path} ${deepest.message ?? 'is wrong'}${values}`;
}

function depthOf({ instancePath }: ErrorObject): number {
  return instancePath.split('/').length;
}
