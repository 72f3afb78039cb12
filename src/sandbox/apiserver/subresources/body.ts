import { parseObject, readBody } from '../http/body.js';
import type { ApiExchange } from '../http/exchange.js';
import { objectFrom, type ObjectType } from '../http/object-form.js';
import type { ApiObject } from '../object.js';

/** Reads the body of a request as an object of a type; an empty body is an empty object. Throws 400 and 415. */
export async function bodyOf(exchange: ApiExchange, type: ObjectType): Promise<ApiObject> {
  const raw = await readBody(exchange.request);
  return objectFrom(raw.length === 0 ? {} : parseObject(exchange.request, raw, type.kind).value, type);
}
