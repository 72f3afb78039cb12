import { isObject, type JsonObject, numberOf, objectOf, stringOf, stringsOf } from '../../base/json.js';
import type { DeleteOptions } from '../registry/write-options.js';
import { apiError, type FieldError } from '../api-error.js';
import { parseObject, readBody } from './body.js';
import type { ApiExchange } from './exchange.js';
import { jsonTypeName } from './object-form.js';
import { optionalFlag, queryInteger } from './query.js';
import { dryRunErrors } from './write-options.js';

const policies = ['Foreground', 'Background', 'Orphan'] as const;
type Policy = (typeof policies)[number];

/** What a deletion asks for. */
export interface DeleteRequest {
  readonly options: DeleteOptions;
  readonly isDryRun: boolean;
}

function fromQuery(query: URLSearchParams): JsonObject {
  const grace = queryInteger(query, 'gracePeriodSeconds');
  const policy = query.get('propagationPolicy');
  const orphan = optionalFlag(query, 'orphanDependents');
  const dryRun = query.getAll('dryRun').filter((d) => d !== '');
  return {
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    ...(policy === null || policy === '' ? {} : { propagationPolicy: policy }),
    ...(orphan === undefined ? {} : { orphanDependents: orphan }),
    ...(dryRun.length === 0 ? {} : { dryRun }),
  };
}

function assertForm(body: JsonObject): void {
  const wrong = (field: string, wanted: string): Error =>
    apiError.badRequest(
      `DeleteOptions in version "v1" cannot be handled as a DeleteOptions: json: cannot unmarshal ${jsonTypeName(body[field])} into Go struct field DeleteOptions.${field} of type ${wanted}`,
    );
  const { kind, gracePeriodSeconds, preconditions, propagationPolicy, orphanDependents, dryRun } = body;
  if (kind !== undefined && kind !== '' && kind !== 'DeleteOptions') {
    throw apiError.badRequest(
      `no kind ${JSON.stringify(kind)} is registered for version ${JSON.stringify(stringOf(body.apiVersion))} in scheme "pkg/runtime/scheme.go:100"`,
    );
  }
  if (gracePeriodSeconds !== undefined && !Number.isInteger(gracePeriodSeconds))
    throw wrong('gracePeriodSeconds', 'int64');
  if (preconditions !== undefined && !isObject(preconditions))
    throw wrong('preconditions', 'v1.Preconditions');
  if (propagationPolicy !== undefined && typeof propagationPolicy !== 'string')
    throw wrong('propagationPolicy', 'v1.DeletionPropagation');
  if (orphanDependents !== undefined && typeof orphanDependents !== 'boolean')
    throw wrong('orphanDependents', 'bool');
  if (dryRun !== undefined && !Array.isArray(dryRun)) throw wrong('dryRun', '[]string');
}

/** Reads and checks DeleteOptions: the body's, or else the query's. Throws 400 and 422. */
export async function deleteRequest(exchange: ApiExchange): Promise<DeleteRequest> {
  const raw = await readBody(exchange.request);
  const query = fromQuery(exchange.url.searchParams);
  let given = query;
  if (raw.length > 0) {
    const body = objectOf(parseObject(exchange.request, raw, 'DeleteOptions').value);
    for (const key of Object.keys(body)) if (body[key] === null) delete body[key];
    assertForm(body);
    // Clients that fill in only the dry run in the query expect it to count.
    given =
      query.dryRun === undefined || body.dryRun !== undefined ? body : { ...body, dryRun: query.dryRun };
  }
  const dryRun = stringsOf(given.dryRun);
  const errors: FieldError[] = [];
  const policy = stringOf(given.propagationPolicy);
  const isPolicy = (text: string): text is Policy => (policies as readonly string[]).includes(text);
  if (policy !== '' && given.orphanDependents !== undefined) {
    errors.push({
      reason: 'FieldValueInvalid',
      field: 'propagationPolicy',
      message: `Invalid value: ${JSON.stringify(policy)}: orphanDependents and deletionPropagation cannot be both set`,
    });
  }
  if (policy !== '' && !isPolicy(policy)) {
    errors.push({
      reason: 'FieldValueNotSupported',
      field: 'propagationPolicy',
      message: `Unsupported value: ${JSON.stringify(policy)}: supported values: ${[...policies, 'nil'].map((p) => `"${p}"`).join(', ')}`,
    });
  }
  errors.push(...dryRunErrors(dryRun));
  if (errors.length > 0) throw apiError.invalid('DeleteOptions', 'meta.k8s.io', '', errors);
  const preconditions = objectOf(given.preconditions);
  const grace = numberOf(given.gracePeriodSeconds);
  return {
    isDryRun: dryRun.length > 0,
    options: {
      // Older clients send negative periods and mean as soon as possible.
      gracePeriodSeconds: grace === undefined ? undefined : Math.max(grace < 0 ? 1 : 0, grace),
      propagationPolicy: isPolicy(policy)
        ? policy
        : given.orphanDependents === true
          ? 'Orphan'
          : given.orphanDependents === false
            ? 'Background'
            : undefined,
      preconditions: {
        uid: typeof preconditions.uid === 'string' ? preconditions.uid : undefined,
        resourceVersion:
          typeof preconditions.resourceVersion === 'string' ? preconditions.resourceVersion : undefined,
      },
    },
  };
}
