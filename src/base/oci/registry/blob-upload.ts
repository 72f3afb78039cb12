import { MeshError } from '../../errors/mesh-error.js';
import type { Descriptor } from '../descriptor.js';
import type { ImageContent } from '../image-source.js';
import type { Repository } from './repository.js';

const failuresMax = 4;

/** An upload the registry has begun: where to send, and how much it has. */
interface Session {
  readonly location: URL;
  readonly offset: number;
}

/**
 * Brings a blob into a repository: nothing is sent when it is there, or can be mounted from `from`. When the connection
 * breaks, it goes on where the registry says that it ended, and gives up after four times without progress. Throws
 * MESH1205 when the registry counts another digest, MESH1206 when it gave up.
 */
export async function uploadBlob(
  repository: Repository,
  descriptor: Descriptor,
  o: { content: ImageContent; from: string | undefined; onBytes: (count: number) => void },
): Promise<void> {
  const { digest } = descriptor;
  const what = `${repository.place}@${digest}`;
  const head = await repository.request(`blobs/${digest}`, { method: 'HEAD', expect: [200, 404], what });
  head.body.resume();
  if (head.status === 200) return;
  let session = await begin(repository, what, o.from === undefined ? undefined : { digest, from: o.from });
  for (let failures = 0; session !== undefined; ) {
    try {
      const sent = await send(repository, descriptor, { ...o, session, what });
      await finish(repository, sent, { digest, what });
      return;
    } catch (error) {
      if (!(error instanceof MeshError) || !['MESH1206', 'MESH1202', 'MESH1207'].includes(error.code))
        throw error;
      const next: Session | undefined = await progressOf(repository, session, what);
      failures = next !== undefined && next.offset > session.offset ? 0 : failures + 1;
      if (failures >= failuresMax || (error.code === 'MESH1202' && failures > 1)) throw error;
      await repository.pause(failures + 1);
      session = next ?? (await begin(repository, what, undefined));
    }
  }
}

/** A new upload; undefined when the blob could be mounted instead. */
async function begin(
  repository: Repository,
  what: string,
  mount: { digest: string; from: string } | undefined,
): Promise<Session | undefined> {
  const query =
    mount === undefined
      ? ''
      : `?${new URLSearchParams({ mount: mount.digest, from: mount.from }).toString()}`;
  const answer = await repository.request(`blobs/uploads/${query}`, {
    method: 'POST',
    body: () => Promise.resolve(Buffer.alloc(0)),
    expect: [201, 202],
    what,
  });
  answer.body.resume();
  return answer.status === 201 ? undefined : { location: locationOf(answer, what), offset: 0 };
}

/** Sends what the registry does not have yet; the next location. */
async function send(
  repository: Repository,
  descriptor: Descriptor,
  o: { session: Session; content: ImageContent; onBytes: (count: number) => void; what: string },
): Promise<URL> {
  const { offset, location } = o.session;
  const left = descriptor.size - offset;
  if (left <= 0 && descriptor.size > 0) return location;
  const answer = await repository.request(location, {
    method: 'PATCH',
    headers: {
      'content-type': 'application/octet-stream',
      // Several registries take a whole blob, and do not know ranges.
      ...(offset === 0 ? {} : { 'content-range': `${offset}-${descriptor.size - 1}` }),
    },
    body: async () => {
      const body = await o.content.blob(descriptor, offset);
      body.on('data', (chunk: Buffer) => o.onBytes(chunk.length));
      return body;
    },
    bodyBytes: left,
    expect: [201, 202, 204],
    what: o.what,
    isRepeatable: false, // only from where it ended
  });
  answer.body.resume();
  return locationOf(answer, o.what);
}

async function finish(
  repository: Repository,
  location: URL,
  o: { digest: string; what: string },
): Promise<void> {
  const url = new URL(location);
  url.searchParams.set('digest', o.digest);
  const answer = await repository.request(url, {
    method: 'PUT',
    body: () => Promise.resolve(Buffer.alloc(0)),
    expect: [201, 204, 400],
    what: o.what,
  });
  answer.body.resume();
  if (answer.status === 400)
    throw new MeshError('MESH1205', `${o.what}: the registry received other content than the digest says`, {
      evidence: `${answer.url.host} answered 400 to the end of the upload`,
    });
}

/** How much has arrived; undefined when the registry has forgotten the upload. */
async function progressOf(
  repository: Repository,
  session: Session,
  what: string,
): Promise<Session | undefined> {
  const answer = await repository.request(session.location, {
    method: 'GET',
    expect: [200, 202, 204, 404, 405],
    what,
  });
  answer.body.resume();
  const end = /^(?:bytes=)?0-(\d+)$/.exec(String(answer.headers.range ?? ''))?.[1];
  if (answer.status >= 400 || end === undefined) return undefined;
  // "0-0" is said of an empty upload, too: one byte is not worth the doubt.
  const offset = Number(end) === 0 ? 0 : Number(end) + 1;
  const { location } = answer.headers;
  return { offset, location: location === undefined ? session.location : new URL(location, answer.url) };
}

function locationOf(answer: { headers: { location?: string | undefined }; url: URL }, what: string): URL {
  const { location } = answer.headers;
  if (location !== undefined) return new URL(location, answer.url);
  throw new MeshError('MESH1207', `${what}: the registry ${answer.url.host} does not say where to upload to`);
}
