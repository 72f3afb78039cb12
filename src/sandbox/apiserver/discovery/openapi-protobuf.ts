import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { isObject, type Json, type JsonObject } from '../../base/json.js';

/** Media type of an OpenAPI v2 document as a protobuf message (gnostic's openapi.v2.Document). */
export const openApiProtobuf = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf';

/** How clients ask for it; the form with `@` is what older ones say. */
export function wantsOpenApiProtobuf(accept: string): boolean {
  return /application\/com\.github\.proto-openapi\.spec\.v2[.@]v1\.0\+protobuf/.test(accept);
}

type Encode = (value: Json, writer: BinaryWriter) => void;
type Fields = Readonly<Record<string, readonly [number: number, encode: Encode]>>;

const text: Encode = (value, writer) =>
  void writer.string(typeof value === 'string' ? value : JSON.stringify(value));
const flag: Encode = (value, writer) => void writer.bool(value === true);
const float: Encode = (value, writer) => void writer.double(Number(value));
const integer: Encode = (value, writer) => void writer.int64(Number(value));
/** `Any`: any value as YAML, of which JSON is a part. */
const any: Encode = (value, writer) =>
  message(writer, (inner) => field(inner, 2, text, JSON.stringify(value)));
const schema: Encode = (value, writer) => message(writer, (inner) => writeSchema(inner, value));

/** Field numbers of openapi.v2.Schema. */
const schemaFields: Fields = {
  $ref: [1, text],
  format: [2, text],
  title: [3, text],
  description: [4, text],
  default: [5, any],
  multipleOf: [6, float],
  maximum: [7, float],
  exclusiveMaximum: [8, flag],
  minimum: [9, float],
  exclusiveMinimum: [10, flag],
  maxLength: [11, integer],
  minLength: [12, integer],
  pattern: [13, text],
  maxItems: [14, integer],
  minItems: [15, integer],
  uniqueItems: [16, flag],
  maxProperties: [17, integer],
  minProperties: [18, integer],
  readOnly: [27, flag],
  additionalProperties: [
    21,
    (value, writer) =>
      message(writer, (inner) =>
        isObject(value) ? field(inner, 1, schema, value) : field(inner, 2, flag, value),
      ),
  ],
  type: [22, (value, writer) => message(writer, (inner) => repeated(inner, 1, text, asList(value)))],
  items: [23, (value, writer) => message(writer, (inner) => repeated(inner, 1, schema, asList(value)))],
  properties: [25, (value, writer) => message(writer, (inner) => named(inner, 1, schema, value))],
};
const repeatedSchemaFields: Fields = { required: [19, text], enum: [20, any], allOf: [24, schema] };
const schemaExtension = 31;

/** Encodes what our v2 document has: version, title and definitions. */
export function encodeOpenApiV2(document: JsonObject): Uint8Array {
  const writer = new BinaryWriter();
  const info = isObject(document['info']) ? document['info'] : {};
  field(writer, 1, text, document['swagger'] ?? '2.0');
  field(writer, 2, (value, w) => message(w, (inner) => writeInfo(inner, value)), info);
  field(writer, 8, (_, w) => message(w, () => undefined), {}); // no paths
  field(
    writer,
    9,
    (value, w) => message(w, (inner) => named(inner, 1, schema, value)),
    document['definitions'] ?? {},
  );
  return writer.finish();
}

function writeInfo(writer: BinaryWriter, info: Json): void {
  if (!isObject(info)) return;
  field(writer, 1, text, info['title'] ?? '');
  field(writer, 2, text, info['version'] ?? '');
}

function writeSchema(writer: BinaryWriter, value: Json): void {
  if (!isObject(value)) return;
  for (const [name, part] of Object.entries(value)) {
    const single = schemaFields[name];
    const several = repeatedSchemaFields[name];
    if (part === undefined) continue;
    if (single !== undefined) field(writer, single[0], single[1], part);
    else if (several !== undefined) repeated(writer, several[0], several[1], asList(part));
    else if (name.startsWith('x-')) named(writer, schemaExtension, any, { [name]: part });
  }
}

/** Messages of a name and a value, as protobuf maps were before there were maps. */
function named(writer: BinaryWriter, number: number, encode: Encode, entries: Json): void {
  if (!isObject(entries)) return;
  for (const [name, value] of Object.entries(entries)) {
    if (value === undefined) continue;
    const pair: Encode = (_, w) =>
      message(w, (inner) => {
        field(inner, 1, text, name);
        field(inner, 2, encode, value);
      });
    field(writer, number, pair, null);
  }
}

function repeated(writer: BinaryWriter, number: number, encode: Encode, values: readonly Json[]): void {
  for (const value of values) field(writer, number, encode, value);
}

function field(writer: BinaryWriter, number: number, encode: Encode, value: Json): void {
  const types = new Map<Encode, WireType>([
    [flag, WireType.Varint],
    [integer, WireType.Varint],
    [float, WireType.Bit64],
  ]);
  writer.tag(number, types.get(encode) ?? WireType.LengthDelimited);
  encode(value, writer);
}

/** A message that follows its tag: its length, then what `fill` writes. */
function message(writer: BinaryWriter, fill: (writer: BinaryWriter) => void): void {
  writer.fork();
  fill(writer);
  writer.join();
}

function asList(value: Json): readonly Json[] {
  return Array.isArray(value) ? value : [value];
}
