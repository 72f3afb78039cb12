import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { parseGoDuration } from '#base/time/duration.js';
import {
  arrayOf,
  isObject,
  type Json,
  type JsonObject,
  objectOf,
  stringOf,
  stringsOf,
} from '../../base/json.js';
import { type Field, messageFields, magic, messageType } from './message-table.js';

/** Message types with a JSON form of their own: writes the fields of one. */
const special: Readonly<Record<string, (writer: BinaryWriter, value: Json) => void>> = {
  'meta.Time': time,
  'meta.MicroTime': time,
  'meta.FieldsV1': rawJson,
  'runtime.RawExtension': rawJson,
  'meta.Duration': (writer, value) => {
    writer.tag(1, WireType.Varint).int64(parseGoDuration(stringOf(value)).ns ?? 0n);
  },
  'api.resource.Quantity': (writer, value) => {
    // Numbers are allowed where quantities are, in JSON.
    writer.tag(1, WireType.LengthDelimited).string(typeof value === 'number' ? `${value}` : stringOf(value));
  },
  'util.intstr.IntOrString': (writer, value) => {
    if (typeof value === 'number')
      writer.tag(1, WireType.Varint).int64(0).tag(2, WireType.Varint).int32(value);
    else writer.tag(1, WireType.Varint).int64(1).tag(3, WireType.LengthDelimited).string(stringOf(value));
  },
  'authorization.v1.ExtraValue': strings,
  'authentication.v1.ExtraValue': strings,
  'certificates.v1.ExtraValue': strings,
  'meta.Verbs': strings,
  'apiextensions.v1.JSON': rawJson,
  'apiextensions.v1.JSONSchemaPropsOrArray': (writer, value) =>
    message(
      writer,
      'apiextensions.v1.JSONSchemaPropsOrArray',
      Array.isArray(value) ? { jSONSchemas: value } : { schema: value },
    ),
  'apiextensions.v1.JSONSchemaPropsOrBool': (writer, value) =>
    message(
      writer,
      'apiextensions.v1.JSONSchemaPropsOrBool',
      isObject(value) ? { allows: true, schema: value } : { allows: value },
    ),
  'apiextensions.v1.JSONSchemaPropsOrStringArray': (writer, value) =>
    message(
      writer,
      'apiextensions.v1.JSONSchemaPropsOrStringArray',
      isObject(value) ? { schema: value } : { property: value },
    ),
};

function strings(writer: BinaryWriter, value: Json): void {
  for (const item of stringsOf(value)) writer.tag(1, WireType.LengthDelimited).string(item);
}

function rawJson(writer: BinaryWriter, value: Json): void {
  writer.tag(1, WireType.LengthDelimited).string(JSON.stringify(value));
}

/** Seconds and nanoseconds of a time in RFC 3339; nothing for the zero time. */
function time(writer: BinaryWriter, value: Json): void {
  const text = stringOf(value);
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return;
  const fraction = /\.(\d{1,9})/.exec(text)?.[1] ?? '';
  writer.tag(1, WireType.Varint).int64(Math.floor(ms / 1000));
  writer.tag(2, WireType.Varint).int32(Number(fraction.padEnd(9, '0')));
}

/** Writes one field with its tag. Values of another type than the field's are left out. */
function field(writer: BinaryWriter, number: number, type: string, value: Json): void {
  switch (type) {
    case 'string':
      if (typeof value === 'string') writer.tag(number, WireType.LengthDelimited).string(value);
      return;
    case 'bytes':
      if (typeof value === 'string')
        writer.tag(number, WireType.LengthDelimited).bytes(Buffer.from(value, 'base64'));
      return;
    case 'bool':
      if (typeof value === 'boolean') writer.tag(number, WireType.Varint).bool(value);
      return;
    case 'int32':
    case 'int64':
    case 'uint32':
    case 'uint64':
      if (Number.isSafeInteger(value)) writer.tag(number, WireType.Varint).int64(Number(value));
      return;
    case 'double':
      if (typeof value === 'number') writer.tag(number, WireType.Bit64).double(value);
      return;
    case 'float':
      if (typeof value === 'number') writer.tag(number, WireType.Bit32).float(value);
      return;
    default: {
      writer.tag(number, WireType.LengthDelimited).fork();
      const write = special[type];
      if (write === undefined) message(writer, type, objectOf(value));
      else write(writer, value);
      writer.join();
    }
  }
}

function mapField(writer: BinaryWriter, number: number, type: string, map: JsonObject): void {
  for (const [key, value] of Object.entries(map)) {
    if (value === undefined || value === null) continue;
    writer.tag(number, WireType.LengthDelimited).fork();
    writer.tag(1, WireType.LengthDelimited).string(key);
    field(writer, 2, type, value);
    writer.join();
  }
}

function message(writer: BinaryWriter, type: string, object: JsonObject): void {
  const fields = messageFields(type);
  if (fields === undefined) throw new RangeError(`message type ${type} is not known`);
  for (const [number, shape] of fields) member(writer, number, shape, object);
}

function member(writer: BinaryWriter, number: number, shape: Field, object: JsonObject): void {
  const { name, type } = shape;
  if (shape.isInline) return field(writer, number, type, object);
  const value = object[name];
  if (value === undefined || value === null) return;
  if (shape.isMap) return mapField(writer, number, type, objectOf(value));
  if (!shape.isList) return field(writer, number, type, value);
  for (const item of arrayOf(value)) if (item !== null) field(writer, number, type, item);
}

/** Whether objects of a kind can be written in protobuf: those whose messages are in the table. */
export function hasProtobufForm(apiVersion: string, kind: string): boolean {
  return messageFields(messageType(apiVersion, kind)) !== undefined;
}

/**
 * Encodes an object or list in Kubernetes' protobuf encoding. What the
 * kind's message has no field for is left out. Throws RangeError for a kind
 * that `hasProtobufForm` denies.
 */
export function encodeProtobufObject(object: JsonObject): Buffer {
  const apiVersion = stringOf(object.apiVersion);
  const kind = stringOf(object.kind);
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(apiVersion);
  writer.tag(2, WireType.LengthDelimited).string(kind);
  writer.join();
  writer.tag(2, WireType.LengthDelimited).fork();
  message(writer, messageType(apiVersion, kind), object);
  writer.join();
  return Buffer.concat([magic, writer.finish()]);
}

/** An event of a watch around an encoded object, with its length in front as streams carry it. */
export function encodeWatchEvent(type: string, object: Uint8Array): Buffer {
  const event = new BinaryWriter()
    .tag(1, WireType.LengthDelimited)
    .string(type)
    .tag(2, WireType.LengthDelimited)
    .fork()
    .tag(1, WireType.LengthDelimited)
    .bytes(object)
    .join()
    .finish();
  const frame = Buffer.allocUnsafe(4 + event.length);
  frame.writeUInt32BE(event.length);
  frame.set(event, 4);
  return frame;
}
