import { apiError, type FieldError, fieldError } from '../api-error.js';
import { optionalFlag, queryFlag, queryInteger } from './query.js';

/** The options of a list or watch as its query gives them. */
export interface ListQuery {
  readonly isWatch: boolean;
  readonly limit: number;
  readonly continueToken: string;
  /** '' when unset. */
  readonly resourceVersion: string;
  readonly resourceVersionMatch: string;
  readonly sendInitialEvents: boolean | undefined;
  readonly allowsBookmarks: boolean;
  readonly timeoutSeconds: number | undefined;
  readonly labelSelector: string;
  readonly fieldSelector: string;
}

const matchField = 'resourceVersionMatch';

function listErrors(o: ListQuery): FieldError[] {
  const errors: FieldError[] = [];
  const match = o.resourceVersionMatch;
  if (match !== '') {
    if (o.resourceVersion === '') {
      errors.push(
        fieldError.forbidden(
          matchField,
          'resourceVersionMatch is forbidden unless resourceVersion is provided',
        ),
      );
    }
    if (o.continueToken !== '') {
      errors.push(
        fieldError.forbidden(matchField, 'resourceVersionMatch is forbidden when continue is provided'),
      );
    }
    if (match !== 'Exact' && match !== 'NotOlderThan') {
      errors.push(fieldError.notSupported(matchField, match, ['Exact', 'NotOlderThan', '']));
    }
    if (match === 'Exact' && o.resourceVersion === '0') {
      errors.push(
        fieldError.forbidden(matchField, 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'),
      );
    }
  }
  if (o.sendInitialEvents !== undefined) {
    errors.push(fieldError.forbidden('sendInitialEvents', 'sendInitialEvents is forbidden for list'));
  }
  return errors;
}

function watchErrors(o: ListQuery): FieldError[] {
  const errors: FieldError[] = [];
  const match = o.resourceVersionMatch;
  if (o.sendInitialEvents !== undefined && match !== 'NotOlderThan') {
    errors.push(
      fieldError.forbidden(
        matchField,
        'sendInitialEvents requires setting resourceVersionMatch to NotOlderThan',
      ),
    );
  }
  if (match !== '') {
    if (o.sendInitialEvents === undefined) {
      errors.push(
        fieldError.forbidden(
          matchField,
          'resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided',
        ),
      );
    }
    if (o.continueToken !== '') {
      errors.push(
        fieldError.forbidden(matchField, 'resourceVersionMatch is forbidden when continue is provided'),
      );
    }
    if (match !== 'NotOlderThan') errors.push(fieldError.notSupported(matchField, match, ['NotOlderThan']));
  }
  return errors;
}

/** The revision a resourceVersion names. Throws 400 for anything that is not a number. */
export function revisionOf(resourceVersion: string): number {
  if (!/^\d+$/.test(resourceVersion) || !Number.isSafeInteger(Number(resourceVersion))) {
    const shown = JSON.stringify(resourceVersion);
    throw apiError.badRequest(
      `resourceVersion: Invalid value: ${shown}: strconv.ParseUint: parsing ${shown}: invalid syntax`,
    );
  }
  return Number(resourceVersion);
}

/** Reads and checks the options of a list or watch. Throws 400 or 422. */
export function listOptions(query: URLSearchParams, isWatch: boolean): ListQuery {
  const options: ListQuery = {
    isWatch,
    limit: queryInteger(query, 'limit') ?? 0,
    continueToken: query.get('continue') ?? '',
    resourceVersion: query.get('resourceVersion') ?? '',
    resourceVersionMatch: query.get('resourceVersionMatch') ?? '',
    sendInitialEvents: optionalFlag(query, 'sendInitialEvents'),
    allowsBookmarks: queryFlag(query, 'allowWatchBookmarks'),
    timeoutSeconds: queryInteger(query, 'timeoutSeconds'),
    labelSelector: query.get('labelSelector') ?? '',
    fieldSelector: query.get('fieldSelector') ?? '',
  };
  const errors = isWatch ? watchErrors(options) : listErrors(options);
  if (errors.length > 0) throw apiError.invalid('ListOptions', 'meta.k8s.io', '', errors);
  return options;
}
