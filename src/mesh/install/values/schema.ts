import { Ajv, type ErrorObject } from 'ajv';
import { MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import { isMap, type Value, type ValueMap } from '../../templates/values.js';

/** The part of JSON schema that values.schema.json uses. */
interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly items?: Schema;
  readonly $ref?: string;
  readonly definitions?: Readonly<Record<string, Schema>>;
}

/** The schema of the values a user may give. */
export class ValuesSchema {
  readonly #root: Schema;

  constructor(document: ValueMap) {
    // The file is ours and is compiled below, which checks that it is a schema.
    this.#root = document as unknown as Schema;
  }

  /** Whether a `--set` to this path takes text only, so that `--set tag=1.0` stays "1.0". */
  isStringAt(path: readonly string[]): boolean {
    return this.#at(path)?.type === 'string';
  }

  /** @throws MESH0302 naming every wrong path, with near misses */
  check(values: ValueMap): void {
    const ajv = new Ajv({ allErrors: true, strict: false, verbose: true });
    const validate = ajv.compile(this.#root);
    if (validate(values)) return;
    const problems = [...new Set((validate.errors ?? []).map((e) => this.#problem(e)))];
    const shownMax = 10;
    throw new MeshError('MESH0302', problems[0] ?? 'invalid values', {
      evidence: problems.length > 1 ? problems.slice(1, shownMax).join('\n') : undefined,
    });
  }

  #problem(error: ErrorObject): string {
    const path = error.instancePath.split('/').slice(1).map(unescapePointer);
    const at = path.join('.');
    switch (error.keyword) {
      case 'additionalProperties': {
        const name = String(error.params['additionalProperty']);
        return `unknown value ${[...path, name].join('.')}${this.#suggestion(path, name)}`;
      }
      case 'type':
        return `${at}: ${JSON.stringify(error.data)} is not of type ${String(error.params['type'])}`;
      case 'enum':
        return `${at}: ${JSON.stringify(error.data)} is not one of ${allowed(error).join(', ')}${didYouMean(
          nearMiss(String(error.data), allowed(error)),
        )}`;
      default:
        return `${at}: ${error.message ?? error.keyword}`;
    }
  }

  #suggestion(path: readonly string[], name: string): string {
    const here = Object.keys(this.#at(path)?.properties ?? {});
    const near = nearMiss(name, here);
    if (near !== undefined) return didYouMean([...path, near].join('.'));
    // Helm users leave out the leading "values.".
    const isHelmPath = path.length === 0 && this.#at(['values', name]) !== undefined;
    return isHelmPath ? didYouMean(`values.${name}`) : '';
  }

  #at(path: readonly string[]): Schema | undefined {
    let schema: Schema | undefined = this.#resolve(this.#root);
    for (const step of path) {
      if (schema === undefined) return undefined;
      const next: Schema | undefined =
        /^\d+$/.test(step) || step.includes(':')
          ? (schema.items ?? property(schema, step))
          : property(schema, step);
      schema = next === undefined ? undefined : this.#resolve(next);
    }
    return schema;
  }

  #resolve(schema: Schema): Schema {
    const name = schema.$ref?.replace('#/definitions/', '');
    return name === undefined ? schema : (this.#root.definitions?.[name] ?? schema);
  }
}

function property(schema: Schema, name: string): Schema | undefined {
  const own = schema.properties;
  if (own !== undefined && Object.hasOwn(own, name)) return own[name];
  return typeof schema.additionalProperties === 'object' ? schema.additionalProperties : undefined;
}

function allowed(error: ErrorObject): string[] {
  const values: unknown = error.params['allowedValues'];
  return Array.isArray(values) ? values.map(String) : [];
}

function didYouMean(near: string | undefined): string {
  return near === undefined ? '' : `; did you mean ${near}?`;
}

function unescapePointer(part: string): string {
  return part.replaceAll('~1', '/').replaceAll('~0', '~');
}

/** Values without keys set to null, which stand for "remove the default" and have no type to check. */
export function withoutNulls(values: Value): Value {
  if (Array.isArray(values)) return (values as readonly Value[]).map(withoutNulls);
  if (!isMap(values)) return values;
  return Object.fromEntries(
    Object.entries(values)
      .filter(([, value]) => value !== null)
      .map(([key, value]) => [key, withoutNulls(value)]),
  );
}
