import { isRecord } from '../../collections/is-record.js';
import { MeshError } from '../../errors/mesh-error.js';
import { readBounded } from '../../system/bounded-bytes.js';
import { type Challenge, parseChallenges } from './challenge.js';
import type { CredentialLookup, RegistryCredentials } from './credentials.js';
import { answerFailure } from './registry-error.js';
import type { RegistryAnswer, Transport } from './transport.js';

const tokenMaxBytes = 1024 * 1024;
const clientId = 'meshctl';

/** Authorization for the requests to one repository: nothing at first, then what the registry asks for. */
export class RepositoryAuthorization {
  readonly #transport: Transport;
  readonly #lookup: () => Promise<RegistryCredentials | undefined>;
  readonly #scopes: readonly string[];
  #header: string | undefined;

  /** @param actions `pull` or `pull,push`. */
  constructor(
    transport: Transport,
    o: {
      registry: string;
      repository: string;
      actions: string;
      /** Repositories that are read from, too. */
      siblings: readonly string[];
      credentials: CredentialLookup;
    },
  ) {
    this.#transport = transport;
    this.#scopes = [
      `repository:${o.repository}:${o.actions}`,
      ...o.siblings.filter((name) => name !== o.repository).map((name) => `repository:${name}:pull`),
    ];
    let found: Promise<RegistryCredentials | undefined> | undefined;
    // Helpers ask people: once is enough.
    this.#lookup = () => (found ??= o.credentials(o.registry, o.repository));
  }

  headers(): Record<string, string> {
    return this.#header === undefined ? {} : { authorization: this.#header };
  }

  /**
   * Gets what a 401 asks for; false when there is nothing that would help. Throws MESH1202 when the token server
   * refuses, MESH1210 when stored credentials are unusable.
   */
  async answer(refusal: RegistryAnswer): Promise<boolean> {
    const challenges = parseChallenges(String(refusal.headers['www-authenticate'] ?? ''));
    const before = this.#header;
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer !== undefined) this.#header = `Bearer ${await this.#token(bearer, refusal.url)}`;
    else if (challenges.some(({ scheme }) => scheme === 'basic')) this.#header = basic(await this.#lookup());
    return this.#header !== undefined && this.#header !== before;
  }

  async #token({ parameters }: Challenge, registry: URL): Promise<string> {
    const realm = realmOf(parameters['realm'] ?? '', registry);
    const credentials = await this.#lookup();
    if (credentials?.kind === 'registry token') return credentials.token;
    const query = new URLSearchParams();
    if (parameters['service'] !== undefined) query.set('service', parameters['service']);
    for (const scope of this.#scopes) query.append('scope', scope);
    const answer =
      credentials?.kind === 'identity token'
        ? await this.#exchange(realm, query, credentials.token)
        : await this.#ask(realm, query, credentials);
    if (answer.status !== 200) throw await answerFailure(answer, `token for ${this.#scopes[0]}`);
    const { body } = answer;
    const text = await readBounded(body, tokenMaxBytes, () => noToken(realm, 'its answer is too long'));
    const token = tokenIn(text.toString('utf8'));
    if (token === undefined) throw noToken(realm, 'its answer holds no token');
    return token;
  }

  #ask(
    realm: URL,
    query: URLSearchParams,
    credentials: RegistryCredentials | undefined,
  ): Promise<RegistryAnswer> {
    const url = new URL(realm);
    for (const [name, value] of query) url.searchParams.append(name, value);
    const authorization = basic(credentials);
    return this.#transport.send(url, {
      method: 'GET',
      headers: authorization === undefined ? {} : { authorization },
    });
  }

  /** OAuth 2 with a refresh token, as the distribution project describes it. */
  #exchange(realm: URL, query: URLSearchParams, token: string): Promise<RegistryAnswer> {
    const form = new URLSearchParams(query);
    // Here the scopes are one list.
    form.set('scope', this.#scopes.join(' '));
    form.set('grant_type', 'refresh_token');
    form.set('refresh_token', token);
    form.set('client_id', clientId);
    return this.#transport.send(realm, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: Buffer.from(form.toString()),
    });
  }
}

function basic(credentials: RegistryCredentials | undefined): string | undefined {
  if (credentials?.kind !== 'password') return undefined;
  const pair = `${credentials.username}:${credentials.password}`;
  return `Basic ${Buffer.from(pair, 'utf8').toString('base64')}`;
}

/** Credentials that came over TLS are not sent without it. */
function realmOf(text: string, registry: URL): URL {
  let realm: URL;
  try {
    realm = new URL(text);
  } catch (cause) {
    throw new MeshError('MESH1207', `the registry ${registry.host} names no usable token server`, {
      evidence: `realm="${text}"`,
      cause,
    });
  }
  if (realm.protocol === 'https:' || (realm.protocol === 'http:' && registry.protocol === 'http:'))
    return realm;
  throw new MeshError('MESH1207', `the registry ${registry.host} wants credentials sent without TLS`, {
    evidence: `realm="${text}"`,
  });
}

function tokenIn(text: string): string | undefined {
  try {
    const document: unknown = JSON.parse(text);
    if (!isRecord(document)) return undefined;
    return [document['token'], document['access_token']].find(
      (token): token is string => typeof token === 'string' && token !== '',
    );
  } catch {
    return undefined;
  }
}

function noToken(realm: URL, evidence: string): MeshError {
  return new MeshError('MESH1207', `the token server ${realm.host} gave no token`, { evidence });
}
