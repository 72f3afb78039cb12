import { pipeline, type Readable, Transform } from 'node:stream';
import { MeshError } from '../errors/mesh-error.js';
import type { Descriptor } from './descriptor.js';
import { algorithmOf, digestOf, DigestStream } from './digest.js';

/** The stream of a whole blob, which ends with MESH1205 instead of well when size or digest are others. */
export function verified(source: Readable, { digest, size }: Descriptor, place: string): Readable {
  let count = 0;
  const hash = new DigestStream(algorithmOf(digest), (bytes) => {
    count += bytes;
    if (count > size) throw mismatch(place, digest, `more than ${size} bytes`);
  });
  const end = new Transform({
    transform: (chunk, _encoding, done) => done(null, chunk),
    flush: (done) => {
      const found = hash.digest();
      if (count !== size) done(mismatch(place, digest, `${count} instead of ${size} bytes`));
      else done(found === digest ? null : mismatch(place, digest, `it hashes to ${found}`));
    },
  });
  // What goes wrong upstream reaches whoever reads `end`.
  return pipeline(source, hash, end, () => undefined);
}

/** Bytes that have the digest of their descriptor; otherwise throws MESH1205. */
export function verifiedBytes(bytes: Buffer, { digest, size }: Descriptor, place: string): Buffer {
  if (bytes.length !== size) throw mismatch(place, digest, `${bytes.length} instead of ${size} bytes`);
  const found = digestOf(bytes, algorithmOf(digest));
  if (found !== digest) throw mismatch(place, digest, `it hashes to ${found}`);
  return bytes;
}

function mismatch(place: string, digest: string, evidence: string): MeshError {
  return new MeshError('MESH1205', `${place}: ${digest} has other content than its digest says`, {
    evidence,
  });
}
