import { BinaryReader } from '@bufbuild/protobuf/wire';
import { formatGoDuration } from '#base/time/duration.js';
import { type Json, type JsonObject, isObject, setOwn } from '../../base/json.js';
import { messageFields, magic, messageType } from './message-table.js';

const depthMax = 100;

/** Message types with a JSON form of their own. */
const special: Readonly<Record<string, (reader: BinaryReader, depth: number) => Json | undefined>> = {
  'meta.Time': (reader) => time(reader, () => ''),
  // Its JSON form has all six digits, zeros too.
  'meta.MicroTime': (reader) =>
    time(reader, (nanos) => `.${String(Math.floor(nanos / 1000)).padStart(6, '0')}`),
  'meta.FieldsV1': rawJson,
  'runtime.RawExtension': rawJson,
  'meta.Duration': (reader) => formatGoDuration(BigInt(Number(scalars(reader).get(1) ?? 0))),
  'api.resource.Quantity': (reader) => text(scalars(reader).get(1)),
  'util.intstr.IntOrString': (reader) => {
    const values = scalars(reader);
    return Number(values.get(1) ?? 0) === 0 ? Number(values.get(2) ?? 0) : text(values.get(3));
  },
  'authorization.v1.ExtraValue': strings,
  'authentication.v1.ExtraValue': strings,
  'certificates.v1.ExtraValue': strings,
  'apiextensions.v1.JSON': rawJson,
  // Schemas hold one of two things in these places; JSON has no wrapper around them.
  'apiextensions.v1.JSONSchemaPropsOrArray': (reader, depth) => {
    const { schema, jSONSchemas } = message(reader, 'apiextensions.v1.JSONSchemaPropsOrArray', depth);
    return jSONSchemas ?? schema;
  },
  'apiextensions.v1.JSONSchemaPropsOrBool': (reader, depth) => {
    const { schema, allows } = message(reader, 'apiextensions.v1.JSONSchemaPropsOrBool', depth);
    return schema ?? allows === true;
  },
  'apiextensions.v1.JSONSchemaPropsOrStringArray': (reader, depth) => {
    const { schema, property } = message(reader, 'apiextensions.v1.JSONSchemaPropsOrStringArray', depth);
    return schema ?? property ?? [];
  },
};

type Scalar = number | Uint8Array;

function text(value: Scalar | undefined): string {
  return value instanceof Uint8Array ? Buffer.from(value).toString('utf8') : '';
}

/** The last value of every field of a small message. */
function scalars(reader: BinaryReader): Map<number, Scalar> {
  const out = new Map<number, Scalar>();
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (wire === 0) out.set(number, Number(reader.int64()));
    else if (wire === 2) out.set(number, reader.bytes());
    else reader.skip(wire);
  }
  return out;
}

function strings(reader: BinaryReader): Json {
  const out: string[] = [];
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (number === 1 && wire === 2) out.push(reader.string());
    else reader.skip(wire);
  }
  return out;
}

function time(reader: BinaryReader, fraction: (nanos: number) => string): Json | undefined {
  const values = scalars(reader);
  if (values.size === 0) return undefined;
  const whole = new Date(Number(values.get(1) ?? 0) * 1000).toISOString().slice(0, 19);
  return `${whole}${fraction(Number(values.get(2) ?? 0))}Z`;
}

function rawJson(reader: BinaryReader): Json | undefined {
  const raw = scalars(reader).get(1);
  // The content was written as JSON by the client; JSON.parse gives JSON data only.
  return raw instanceof Uint8Array && raw.length > 0 ? (JSON.parse(text(raw)) as Json) : undefined;
}

function isZero(value: Json): boolean {
  return (
    value === '' || value === 0 || value === false || (isObject(value) && Object.keys(value).length === 0)
  );
}

function value(reader: BinaryReader, type: string, depth: number): Json | undefined {
  switch (type) {
    case 'string':
      return reader.string();
    case 'bool':
      return reader.bool();
    case 'int32':
      return reader.int32();
    case 'int64':
      return Number(reader.int64());
    case 'uint32':
      return reader.uint32();
    case 'uint64':
      return Number(reader.uint64());
    case 'double':
      return reader.double();
    case 'float':
      return reader.float();
    case 'bytes':
      return Buffer.from(reader.bytes()).toString('base64');
    default: {
      const inner = new BinaryReader(reader.bytes());
      const convert = special[type];
      return convert === undefined ? message(inner, type, depth + 1) : convert(inner, depth + 1);
    }
  }
}

function message(reader: BinaryReader, type: string, depth: number): JsonObject {
  if (depth > depthMax) throw new RangeError('message is nested too deeply');
  const fields = messageFields(type);
  if (fields === undefined) throw new RangeError(`message type ${type} is not known`);
  const out: JsonObject = {};
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    const field = fields.get(number);
    if (field === undefined) {
      reader.skip(wire);
      continue;
    }
    if (field.isMap) {
      const map = isObject(out[field.name]) ? out[field.name] : {};
      mapEntry(new BinaryReader(reader.bytes()), field.type, map as JsonObject, depth);
      setOwn(out, field.name, map as JsonObject);
      continue;
    }
    const v = value(reader, field.type, depth);
    if (v === undefined) continue;
    if (field.isList) {
      const list = out[field.name];
      if (Array.isArray(list)) (list as Json[]).push(v);
      else out[field.name] = [v];
    } else if (field.isInline && isObject(v)) Object.assign(out, v);
    else if (field.keepsZero || !isZero(v)) setOwn(out, field.name, v);
  }
  return out;
}

function mapEntry(reader: BinaryReader, type: string, into: JsonObject, depth: number): void {
  let key = '';
  let entry: Json | undefined;
  while (reader.pos < reader.len) {
    const [number, wire] = reader.tag();
    if (number === 1) key = reader.string();
    else if (number === 2) entry = value(reader, type, depth);
    else reader.skip(wire);
  }
  setOwn(into, key, entry ?? (type === 'string' || type === 'bytes' ? '' : {}));
}

/**
 * Decodes an object from Kubernetes' protobuf encoding, which Go clients
 * prefer for built-in kinds. Throws RangeError for anything that is not one,
 * or whose kind is not in the table.
 */
export function decodeProtobufObject(body: Buffer): JsonObject {
  if (!body.subarray(0, magic.length).equals(magic))
    throw new RangeError('the object lacks the protobuf prefix');
  const envelope = scalars(new BinaryReader(body.subarray(magic.length)));
  const typeMeta = envelope.get(1);
  const raw = envelope.get(2);
  const type =
    typeMeta instanceof Uint8Array ? scalars(new BinaryReader(typeMeta)) : new Map<number, Scalar>();
  const apiVersion = text(type.get(1));
  const kind = text(type.get(2));
  const content = raw instanceof Uint8Array ? raw : new Uint8Array();
  return { apiVersion, kind, ...message(new BinaryReader(content), messageType(apiVersion, kind), 0) };
}
