import { BinaryReader } from '@bufbuild/protobuf/wire';
import { expect, test } from 'vitest';
import { encodeOpenApiV2, wantsOpenApiProtobuf } from '#sandbox/apiserver/discovery/openapi-protobuf.js';

/** Fields of a message: number -> raw values. */
function fieldsOf(bytes: Uint8Array): Map<number, Uint8Array[]> {
  const reader = new BinaryReader(bytes);
  const fields = new Map<number, Uint8Array[]>();
  while (reader.pos < reader.len) {
    const [number] = reader.tag();
    fields.set(number, [...(fields.get(number) ?? []), reader.bytes()]);
  }
  return fields;
}

const first = (fields: Map<number, Uint8Array[]>, number: number): Uint8Array => {
  const [value] = fields.get(number) ?? [];
  if (value === undefined) throw new Error(`field ${number} is missing`);
  return value;
};
const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

test('definitions are where openapi.v2.Document has them', () => {
  const group = [{ group: 'apps', kind: 'Deployment', version: 'v1' }];
  const document = fieldsOf(
    encodeOpenApiV2({
      swagger: '2.0',
      info: { title: 'T', version: 'V' },
      paths: {},
      definitions: {
        A: {
          type: 'object',
          required: ['x', 'y'],
          properties: { x: { type: 'array', items: { $ref: '#/definitions/B' } } },
          'x-kubernetes-group-version-kind': group,
        },
      },
    }),
  );
  expect(textOf(first(document, 1))).toBe('2.0');
  const definition = fieldsOf(first(fieldsOf(first(document, 9)), 1));
  expect(textOf(first(definition, 1))).toBe('A');
  const schema = fieldsOf(first(definition, 2));
  expect(textOf(first(fieldsOf(first(schema, 22)), 1))).toBe('object');
  expect(schema.get(19)?.map(textOf)).toEqual(['x', 'y']);
  const property = fieldsOf(first(fieldsOf(first(schema, 25)), 1));
  expect(textOf(first(property, 1))).toBe('x');
  const items = fieldsOf(first(fieldsOf(first(property, 2)), 23));
  expect(textOf(first(fieldsOf(first(items, 1)), 1))).toBe('#/definitions/B');
  const extension = fieldsOf(first(schema, 31));
  expect(textOf(first(extension, 1))).toBe('x-kubernetes-group-version-kind');
  expect(JSON.parse(textOf(first(fieldsOf(first(extension, 2)), 2)))).toEqual(group);
});

test('both names of the media type are understood', () => {
  expect(wantsOpenApiProtobuf('application/com.github.proto-openapi.spec.v2@v1.0+protobuf')).toBe(true);
  expect(wantsOpenApiProtobuf('application/com.github.proto-openapi.spec.v2.v1.0+protobuf')).toBe(true);
  expect(wantsOpenApiProtobuf('application/json')).toBe(false);
});
