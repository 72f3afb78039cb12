import { isRecord } from '../../collections/is-record.js';
import { MeshError } from '../../errors/mesh-error.js';
import { readBounded } from '../../system/bounded-bytes.js';

const notTrusted =
  /^(CERT_|ERR_TLS_|UNABLE_TO_|DEPTH_ZERO|SELF_SIGNED|HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE)/;

/** What to say of a connection that failed, or never came about. */
export function connectionFailure(url: URL, error: Error, hasConnected: boolean): Error {
  if (error instanceof MeshError) return error;
  const code = (error as NodeJS.ErrnoException).code ?? '';
  const options = {
    evidence: `${url.host}: ${code === '' ? '' : `${code} `}${error.message}`.trim(),
    cause: error,
  };
  if (notTrusted.test(code))
    return new MeshError('MESH1211', `the certificate of the registry ${url.host} is not trusted`, options);
  if (/wrong version number|packet length too long/i.test(error.message))
    return new MeshError('MESH1201', `the registry ${url.host} does not speak TLS`, {
      ...options,
      hint: 'If it is meant to be without TLS, repeat the command with --plain-http.',
    });
  return hasConnected
    ? new MeshError('MESH1206', `the connection to the registry ${url.host} broke`, options)
    : new MeshError('MESH1201', `the registry ${url.host} cannot be reached`, options);
}

/** As much of an answer as is told. */
interface Refusal {
  readonly status: number;
  readonly url: URL;
  readonly body: AsyncIterable<unknown>;
}

/** The error for an answer that is not the one asked for; reads the rest of it. */
export async function answerFailure(answer: Refusal, what: string): Promise<MeshError> {
  const { status, url } = answer;
  const evidence = `${url.host} answered ${status}${details(await saidIn(answer))}`;
  switch (status) {
    case 401:
      return new MeshError('MESH1202', `${what}: the registry ${url.host} does not accept the credentials`, {
        evidence,
        hint: `Log in (docker login ${url.host}), then repeat the command.`,
      });
    case 403:
      return new MeshError('MESH1203', `${what}: the registry ${url.host} does not permit it`, { evidence });
    case 404:
      return new MeshError('MESH1204', `${what}: not in the registry ${url.host}`, { evidence });
    default:
      return new MeshError('MESH1207', `${what}: the registry ${url.host} failed`, { evidence });
  }
}

const sayingMaxBytes = 64 * 1024;

/** An error page may be long, or break off: then it says nothing. */
async function saidIn({ body }: Refusal): Promise<Buffer> {
  return readBounded(body, sayingMaxBytes, () => new Error('too long')).catch(() => Buffer.alloc(0));
}

/** `errors[].message` of the Distribution API, or the beginning of what was said instead. */
function details(bytes: Buffer): string {
  const text = bytes.toString('utf8').trim();
  try {
    const document: unknown = JSON.parse(text);
    const errors: unknown = isRecord(document) ? document['errors'] : undefined;
    if (Array.isArray(errors)) {
      const lines = errors.filter(isRecord).map((e) => [e['code'], e['message']].filter(Boolean).join(' '));
      return lines.length === 0 ? '' : `: ${lines.join('; ')}`;
    }
  } catch {
    // not JSON
  }
  const textMaxChars = 200;
  return text === '' ? '' : `: ${text.slice(0, textMaxChars)}`;
}
