import { create } from '@bufbuild/protobuf';
import { EmptySchema } from '@bufbuild/protobuf/wkt';
import { parseCidr } from '#base/net/cidr.js';
import {
  AddressSchema,
  StringMatchSchema,
  type Address,
  type StringMatch,
} from '../xds/gen/istio/authorization_pb.js';

/** `*` any non-empty value, `*x` suffix, `x*` prefix, else the exact value. */
export function stringMatch(pattern: string): StringMatch {
  if (pattern === '*') {
    return create(StringMatchSchema, { matchType: { case: 'presence', value: create(EmptySchema) } });
  }
  if (pattern.startsWith('*')) {
    return create(StringMatchSchema, { matchType: { case: 'suffix', value: pattern.slice(1) } });
  }
  if (pattern.endsWith('*')) {
    return create(StringMatchSchema, { matchType: { case: 'prefix', value: pattern.slice(0, -1) } });
  }
  return create(StringMatchSchema, { matchType: { case: 'exact', value: pattern } });
}

/** IP blocks that can be read; others are left out. */
export function addressMatches(blocks: readonly string[]): Address[] {
  return blocks.flatMap((block) => {
    const cidr = parseCidr(block);
    return cidr === undefined ? [] : [create(AddressSchema, { address: cidr.address, length: cidr.length })];
  });
}

/** Port numbers that can be read; others are left out. */
export function portMatches(ports: readonly string[]): number[] {
  return ports
    .filter((port) => /^\d{1,5}$/.test(port))
    .map(Number)
    .filter((port) => port >= 1 && port <= 65_535);
}
