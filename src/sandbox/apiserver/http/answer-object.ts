import type { ApiObject } from '../object.js';
import { type IncludeObject, partialMetadata, toTable } from '../printing/table.js';
import type { ServedResource } from '../registry/resource.js';
import { ApiError } from '../api-error.js';
import { type ApiExchange, sendJson } from './exchange.js';
import type { Accepted } from './negotiation.js';

/** The apiVersion of tables and metadata. */
export function metaApiVersion(version: Accepted['metaVersion']): string {
  return `meta.k8s.io/${version}`;
}

/** Which objects the rows of a table carry along. */
export function includeOf(exchange: Pick<ApiExchange, 'url'>): IncludeObject {
  const value = exchange.url.searchParams.get('includeObject');
  return value === 'None' || value === 'Object' ? value : 'Metadata';
}

/** Answers with one object in the form the client asked for. Throws 406 for a list of one. */
export function answerObject(
  exchange: ApiExchange,
  status: number,
  object: ApiObject,
  resource: Pick<ServedResource, 'kind' | 'columns'>,
): void {
  const { form, isListForm, metaVersion } = exchange.accepted;
  const meta = { apiVersion: metaApiVersion(metaVersion) };
  if (form === 'table') {
    const metadata = { resourceVersion: object.metadata.resourceVersion };
    const table = toTable([object], resource, { include: includeOf(exchange), metadata, withColumns: true });
    return sendJson(exchange, status, { ...table, ...meta });
  }
  if (isListForm) {
    throw new ApiError(
      406,
      'NotAcceptable',
      `you requested PartialObjectMetadataList, but the requested object is not a list (${resource.kind})`,
    );
  }
  sendJson(exchange, status, form === 'metadata' ? { ...partialMetadata(object), ...meta } : object);
}
