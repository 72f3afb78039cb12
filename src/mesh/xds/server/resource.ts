import { createHash } from 'node:crypto';
import { fromBinary, toBinary, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { ResourceSchema } from '../gen/envoy/discovery_pb.js';

/**
 * A resource as it travels: encoded once when it changes, its bytes shared by every
 * subscriber and every response.
 */
export interface WireResource {
  /** Name by which it is subscribed, updated and removed. */
  readonly name: string;
  /** Content hash, equal across replicas and restarts; empty for types that carry no version. */
  readonly version: string;
  /** Other names under which a client may ask for it. */
  readonly aliases: readonly string[];
  /** Names of resources whose on-demand subscribers need this one too (a workload's services). */
  readonly groups: readonly string[];
  /**
   * An encoded envoy.service.discovery.v3.Resource, a character for each byte: a small string costs half of what an
   * array of bytes costs, and a mesh has tens of thousands.
   */
  readonly encoded: string;
}

/** What a resource is made of. */
export interface ResourceInput<S extends DescMessage> {
  readonly name: string;
  readonly typeUrl: string;
  readonly schema: S;
  readonly message: MessageShape<S>;
  readonly aliases?: readonly string[];
  readonly groups?: readonly string[];
  /** Whether the resource carries its content hash on the wire (Address does, Authorization does not). */
  readonly isVersioned: boolean;
}

/**
 * Encodes a resource. Encoding is deterministic as long as the message's maps were filled in
 * sorted order, which replicas need in order to compute equal versions.
 */
export function encodeResource<S extends DescMessage>(input: ResourceInput<S>): WireResource {
  const body = toBinary(input.schema, input.message);
  const aliases = input.aliases ?? [];
  const version = input.isVersioned ? contentHash(body) : '';
  const writer = new BinaryWriter();
  if (version !== '') writer.tag(1, WireType.LengthDelimited).string(version);
  writer.tag(2, WireType.LengthDelimited).fork();
  writer.tag(1, WireType.LengthDelimited).string(input.typeUrl);
  writer.tag(2, WireType.LengthDelimited).bytes(body);
  writer.join();
  writer.tag(3, WireType.LengthDelimited).string(input.name);
  for (const alias of aliases) writer.tag(4, WireType.LengthDelimited).string(alias);
  return { name: input.name, version, aliases, groups: input.groups ?? [], encoded: textOf(writer.finish()) };
}

/** The message of a resource. It is not kept beside its bytes: only people look at it again. */
export function decodeResource<S extends DescMessage>(schema: S, { encoded }: WireResource): MessageShape<S> {
  return fromBinary(
    schema,
    fromBinary(ResourceSchema, Buffer.from(encoded, 'latin1')).resource?.value ?? new Uint8Array(),
  );
}

/** Whether two values look the same on the wire, which is all that a subscriber sees of them. */
export function isSameWire(a: { readonly wire: WireResource }, b: { readonly wire: WireResource }): boolean {
  return a.wire.encoded === b.wire.encoded;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}

/** 64 bits of SHA-256 in hexadecimal: opaque to clients, collision-free in practice. */
function contentHash(bytes: Uint8Array): string {
  // A slice of a text would keep all of it.
  return createHash('sha256').update(bytes).digest().toString('hex', 0, 8);
}

/** A response before encoding. */
export interface DeltaResponse {
  readonly typeUrl: string;
  readonly pushVersion: string;
  readonly nonce: string;
  /** The resources, by {@link encodeEntries}. */
  readonly encoded: Buffer;
  readonly removed: readonly string[];
}

/** Encodes an envoy.service.discovery.v3.DeltaDiscoveryResponse around already encoded resources. */
export function encodeDeltaResponse(response: DeltaResponse): Buffer {
  const writer = new BinaryWriter();
  writer.tag(1, WireType.LengthDelimited).string(response.pushVersion);
  writer.tag(4, WireType.LengthDelimited).string(response.typeUrl);
  writer.tag(5, WireType.LengthDelimited).string(response.nonce);
  for (const name of response.removed) writer.tag(6, WireType.LengthDelimited).string(name);
  // Fields may come in any order.
  return Buffer.concat([writer.finish(), response.encoded]);
}

const entryTag = (2 << 3) | WireType.LengthDelimited;

/** The resources as entries of a response, to be shared by all responses that hold the same ones. */
export function encodeEntries(resources: readonly WireResource[]): Buffer {
  let sizeBytes = 0;
  for (const { encoded } of resources) sizeBytes += 1 + varintSize(encoded.length) + encoded.length;
  const entries = Buffer.allocUnsafe(sizeBytes);
  let at = 0;
  for (const { encoded } of resources) {
    entries[at++] = entryTag;
    let rest = encoded.length;
    for (; rest > 0x7f; rest >>>= 7) entries[at++] = (rest & 0x7f) | 0x80;
    entries[at++] = rest;
    at += entries.write(encoded, at, 'latin1');
  }
  return entries;
}

function varintSize(value: number): number {
  let size = 1;
  for (let rest = value; rest > 0x7f; rest >>>= 7) size += 1;
  return size;
}
