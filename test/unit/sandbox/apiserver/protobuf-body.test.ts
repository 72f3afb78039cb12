import { BinaryWriter } from '@bufbuild/protobuf/wire';
import { describe, expect, test } from 'vitest';
import { decodeProtobufObject } from '#sandbox/apiserver/protobuf/decode-object.js';

const magic = Buffer.from('k8s\0');

/** A message of length-delimited fields: strings, or messages made by this function. */
function message(fields: readonly (readonly [number, string | Uint8Array])[]): Uint8Array {
  const writer = new BinaryWriter();
  for (const [number, value] of fields) {
    writer.tag(number, 2);
    if (typeof value === 'string') writer.string(value);
    else writer.bytes(value);
  }
  return writer.finish();
}

/** An object as Go clients send it. */
function encoded(apiVersion: string, kind: string, content: Uint8Array): Buffer {
  const typeMeta = message([
    [1, apiVersion],
    [2, kind],
  ]);
  return Buffer.concat([
    magic,
    message([
      [1, typeMeta],
      [2, content],
    ]),
  ]);
}

describe('a body in protobuf', () => {
  test('has what is embedded in Go where JSON has it: in the object around', () => {
    const volume = message([
      [1, 'data'],
      [2, message([[2, new Uint8Array()]])],
    ]);
    const common = message([
      [1, 'debugger'],
      [2, 'meshctl/tool'],
    ]);
    const ephemeral = message([
      [1, common],
      [2, 'main'],
    ]);
    const spec = message([
      [1, volume],
      [34, ephemeral],
    ]);
    expect(decodeProtobufObject(encoded('v1', 'Pod', message([[2, spec]])))).toMatchObject({
      apiVersion: 'v1',
      kind: 'Pod',
      spec: {
        volumes: [{ name: 'data' }],
        ephemeralContainers: [{ name: 'debugger', image: 'meshctl/tool', targetContainerName: 'main' }],
      },
    });
  });

  test('has times to the microsecond with all six digits', () => {
    const seconds = (value: number): Uint8Array => new BinaryWriter().tag(1, 0).int64(value).finish();
    // The first seconds of the year 1, where the zero time of Go is.
    const spec = message([
      [1, 'holder'],
      [3, seconds(-62_135_596_798)],
      [4, new BinaryWriter().raw(seconds(1)).tag(2, 0).int32(2_000).finish()],
    ]);
    expect(
      decodeProtobufObject(encoded('coordination.k8s.io/v1', 'Lease', message([[2, spec]]))),
    ).toMatchObject({
      spec: { acquireTime: '0001-01-01T00:00:02.000000Z', renewTime: '1970-01-01T00:00:01.000002Z' },
    });
  });
});
