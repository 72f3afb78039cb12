import { writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KubeApiError } from '#base/kube/api-error.js';
import { apiVersionOf, customResourceDefinitions, pathOf, type Resource } from '#base/kube/resource.js';
import type { CustomResourceDefinition, KubeObject } from '#base/kube/types.js';
import { eventually } from '../../harness/cluster.js';
import { describeServers, type ServerUnderTest } from '../servers.js';
import { backendTlsPolicy } from './backend-tls-policy.js';
import { tcpRoute, tlsRoute, udpRoute } from './connection-routes.js';
import { type Change, changed, type Corpus, type Json, type JsonMap, valueAt } from './corpus.js';
import { demandPath, demandsOf, gatewayApiDefinitions, otherDefinitions } from './definitions.js';
import { gatewayClass } from './gateway-class.js';
import { gateway } from './gateway.js';
import { grpcRoute } from './grpc-route.js';
import { httpRoute } from './http-route.js';
import { listenerSet } from './listener-set.js';
import { referenceGrant } from './reference-grant.js';

/*
 * Objects that the Gateway API accepts and refuses, tried on our definitions. To compare with
 * others, such as the published ones, run it on them too and compare what was answered:
 *   GATEWAY_API_CRDS=folder GATEWAY_API_ANSWERS=file npx vitest run --project conformance test/conformance/gateway-api
 */

const corpora: readonly Corpus[] = [
  gatewayClass,
  gateway,
  listenerSet,
  httpRoute,
  grpcRoute,
  tlsRoute,
  tcpRoute,
  udpRoute,
  backendTlsPolicy,
  referenceGrant,
];
const byKind = corpora.map((corpus) => ({ kind: corpus.resource.kind, corpus }));
const isOurs = otherDefinitions === undefined;

/** What a server says to an object. */
interface Answer {
  readonly isAccepted: boolean;
  /** Fields that are blamed, each with a reason and a message. */
  readonly blamed: readonly { readonly field: string; readonly reason: string; readonly message: string }[];
  /** Without metadata. */
  readonly stored: JsonMap | undefined;
}

/** Sends objects of a kind; nothing is kept but one object, whose status is tried. */
class Kind {
  readonly #server: ServerUnderTest;
  readonly #corpus: Corpus;
  readonly #answers: Record<string, unknown>;

  constructor(server: ServerUnderTest, corpus: Corpus, answers: Record<string, unknown>) {
    this.#server = server;
    this.#corpus = corpus;
    this.#answers = answers;
  }

  /** Makes the object with which everything begins. */
  async make(): Promise<void> {
    const { resource, base } = this.#corpus;
    await this.#server.client.create(resource, this.#whole(resource, base), { namespace: 'default' });
  }

  /** Tries a change of the object. */
  try(change: Change, o: { version?: string; isStrict?: boolean } = {}): Promise<Answer> {
    const resource = { ...this.#corpus.resource, version: o.version ?? this.#corpus.resource.version };
    const object = changed(this.#corpus.base, change);
    const isStatus = Object.keys(change).some((path) => path.startsWith('status'));
    const what = `${resource.kind}.${resource.version} ${JSON.stringify(change)}`;
    if (!isStatus) return this.create(object, { ...o, resource, what });
    return this.#answer(what, {
      method: 'PATCH',
      path: pathOf(resource, { namespace: 'default', name: 'whole', subresource: 'status' }),
      body: { status: object['status'] ?? null },
      contentType: 'application/merge-patch+json',
    });
  }

  /** Tries an object. */
  create(
    object: JsonMap,
    o: { resource?: Resource; isStrict?: boolean; what?: string } = {},
  ): Promise<Answer> {
    const { resource = this.#corpus.resource } = o;
    return this.#answer(o.what ?? `${resource.kind}.${resource.version} ${JSON.stringify(object)}`, {
      method: 'POST',
      path: pathOf(resource, { namespace: 'default' }),
      body: this.#whole(resource, object, 'tried'),
      query: o.isStrict === true ? { fieldValidation: 'Strict' } : {},
    });
  }

  /** Tries a change of the object that is there. */
  async update(change: Change): Promise<Answer> {
    const { resource } = this.#corpus;
    const ref = { resource, name: 'whole', namespace: 'default' };
    const live = (await this.#server.client.get(ref)) as unknown as JsonMap;
    return this.#answer(`${resource.kind} update ${JSON.stringify(change)}`, {
      method: 'PUT',
      path: pathOf(resource, ref),
      body: changed(live, change),
    });
  }

  #whole(resource: Resource, object: JsonMap, name = 'whole'): JsonMap {
    return { apiVersion: apiVersionOf(resource), kind: resource.kind, metadata: { name }, ...object };
  }

  async #answer(
    what: string,
    r: { method: 'POST' | 'PUT' | 'PATCH'; path: string; body: Json; contentType?: string; query?: object },
  ): Promise<Answer> {
    const answer = await this.#server.client
      .request<KubeObject>({ ...r, query: { dryRun: 'All', ...r.query } })
      .then(accepted, refused);
    this.#answers[what] = answer;
    return answer;
  }
}

function accepted(object: KubeObject): Answer {
  const { apiVersion: _a, kind: _k, metadata: _m, ...stored } = object as unknown as JsonMap;
  return { isAccepted: true, blamed: [], stored };
}

function refused(error: unknown): Answer {
  if (!(error instanceof KubeApiError) || (error.status !== 422 && error.status !== 400)) throw error;
  const blamed = (error.details?.causes ?? []).map((c) => ({
    field: c.field ?? '',
    reason: c.reason ?? '',
    message: c.message ?? '',
  }));
  // An answer without causes, as to unknown fields, says it in its message.
  const whole = { field: '', reason: error.reason, message: error.message };
  return { isAccepted: false, blamed: blamed.length > 0 ? blamed : [whole], stored: undefined };
}

/** Keys of maps are written in several ways. */
function plainField(field: string): string {
  return field.replace(/\["?([^\]"]*[^\]"\d][^\]"]*)"?\]/g, '.$1');
}

function fieldsOf(answer: Answer): string[] {
  return answer.blamed.map((b) => plainField(b.field));
}

/** Our API server blames at most 100 fields of an object. */
const togetherMax = 50;

/** Changes that can be made together: of each field the value at one position, spec and status apart. */
function together(corpus: Corpus, which: 'accepted' | 'refused'): Change[] {
  const entries = Object.entries(corpus.fields);
  const most = Math.max(...entries.map(([, values]) => values[which].length));
  const changes: Change[] = [];
  for (const part of ['spec', 'status']) {
    for (let at = 0; at < most; at++) {
      const values = entries.filter(([path, v]) => path.startsWith(part) && at < v[which].length);
      for (let from = 0; from < values.length; from += togetherMax) {
        const some = values.slice(from, from + togetherMax);
        changes.push(Object.fromEntries(some.map(([path, v]) => [path, v[which][at]])));
      }
    }
  }
  return changes;
}

describe.runIf(isOurs).each(byKind)('the corpus of $kind', ({ corpus }) => {
  test('answers for every field, size, required field and rule of our definition', () => {
    const { resource } = corpus;
    const crd = gatewayApiDefinitions().find((d) => d.spec.names.kind === resource.kind);
    if (crd === undefined) throw new Error(`no definition of ${resource.kind}`);
    const demands = demandsOf(crd, resource.version);
    const paths = (entries: object): string[] =>
      [...new Set(Object.keys(entries).map(demandPath))].toSorted();
    expect(paths(corpus.fields)).toEqual(demands.fields);
    expect(paths(corpus.sizes)).toEqual(demands.sizes);
    const required = Object.entries(corpus.required).flatMap(([path, names]) =>
      names.map((name) => `${demandPath(path)}: ${name}`),
    );
    expect(demands.required.filter((each) => !required.includes(each))).toEqual([]);
    const rules = corpus.rules.map(({ at, message }) => `${demandPath(at)}: ${message}`);
    const unbreakable = corpus.unbreakable ?? [];
    expect(
      demands.rules.filter((each) => !rules.includes(each) && !unbreakable.some((m) => each.endsWith(m))),
    ).toEqual([]);
    for (const rule of corpus.rules) {
      expect([rule.message, rule.accepted.length > 0, rule.refused.length > 0]).toEqual([
        rule.message,
        true,
        true,
      ]);
    }
  });
});

describeServers('Gateway API definitions', (server, kindOfServer) => {
  const answers: Record<string, unknown> = {};
  const kindOf = (corpus: Corpus): Kind => new Kind(server(), corpus, answers);

  beforeAll(async () => {
    const { client } = server();
    const definitions = gatewayApiDefinitions();
    expect(definitions).toHaveLength(corpora.length);
    for (const crd of definitions) await client.create(customResourceDefinitions, crd);
    for (const { metadata } of definitions) {
      await eventually(
        async () => {
          const ref = { resource: customResourceDefinitions, name: metadata.name };
          const { status } = await client.get<CustomResourceDefinition>(ref);
          const isThere = status?.conditions?.some((c) => c.type === 'Established' && c.status === 'True');
          if (isThere !== true) throw new Error(`${metadata.name}: ${JSON.stringify(status)}`);
        },
        { timeoutMs: 30_000 },
      );
    }
    for (const corpus of corpora) {
      // Established and served are two things, a moment apart.
      await eventually(() => kindOf(corpus).make(), { timeoutMs: 15_000 });
    }
  });

  afterAll(() => {
    const file = process.env['GATEWAY_API_ANSWERS'];
    if (file !== undefined) writeFileSync(`${file}.${kindOfServer}`, JSON.stringify(answers, null, 1));
  });

  describe.each(byKind)('$kind', ({ corpus }) => {
    const { resource, base } = corpus;

    test('is served by its names, in its versions, with its columns', async () => {
      const { client } = server();
      const list = await client.request<{
        resources: { name: string; shortNames?: string[]; categories?: string[] }[];
      }>({
        method: 'GET',
        path: `/apis/${apiVersionOf(resource)}`,
      });
      const found = list.resources.find((r) => r.name === resource.plural);
      expect(found?.shortNames ?? []).toEqual(corpus.shortNames);
      expect(found?.categories).toEqual(['gateway-api']);
      const served = [resource.version, ...(corpus.otherVersions ?? [])];
      for (const version of [...served, ...(corpus.unserved ?? [])]) {
        const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
        const table = await client
          .request<{ columnDefinitions: { name: string }[] }>({
            method: 'GET',
            path: pathOf({ ...resource, version }, { namespace: 'default' }),
            accept,
          })
          .then(
            (t) => t.columnDefinitions.map((c) => c.name),
            () => [],
          );
        expect([version, table]).toEqual([version, served.includes(version) ? corpus.columns : []]);
      }
    });

    test('is accepted with every field, and kept as it is', async () => {
      const kind = kindOf(corpus);
      const answer = await kind.create(base, { isStrict: true });
      expect(answer.blamed).toEqual([]);
      expect(answer.stored?.['spec']).toMatchObject(base['spec'] as object);
      if (base['status'] === undefined) return;
      const { blamed, stored } = await kind.try({ 'status.tried': undefined });
      expect(blamed).toEqual([]);
      expect(stored?.['status']).toMatchObject(base['status'] as object);
    });

    test('accepts what is allowed in each field', async () => {
      for (const change of together(corpus, 'accepted')) {
        expect([change, (await kindOf(corpus).try(change)).blamed]).toEqual([change, []]);
      }
    });

    test('refuses what is not allowed in each field', async () => {
      for (const change of together(corpus, 'refused')) {
        const answer = await kindOf(corpus).try(change);
        const unblamed = Object.keys(change).filter((path) => !fieldsOf(answer).includes(plainField(path)));
        expect([unblamed, unblamed.map((path) => change[path])]).toEqual([[], []]);
      }
    });

    test('limits the sizes of lists and maps, and refuses the same twice where it must', async () => {
      for (const [path, { min, max, element, key, isUnique }] of Object.entries(corpus.sizes)) {
        if (element !== undefined) {
          const of = (length: number): Change => ({
            [path]:
              key === undefined
                ? Array.from({ length }, (_, i) => element(i))
                : Object.fromEntries(Array.from({ length }, (_, i) => [key(i), element(i)])),
          });
          const isAccepted = async (length: number): Promise<unknown[]> => [
            path,
            length,
            (await kindOf(corpus).try(of(length))).blamed,
          ];
          const isRefused = async (length: number): Promise<unknown[]> => [
            path,
            length,
            fieldsOf(await kindOf(corpus).try(of(length))).includes(plainField(path)),
          ];
          if (max !== undefined) {
            expect(await isAccepted(max)).toEqual([path, max, []]);
            expect(await isRefused(max + 1)).toEqual([path, max + 1, true]);
          }
          if (min !== undefined) {
            expect(await isAccepted(min)).toEqual([path, min, []]);
            expect(await isRefused(min - 1)).toEqual([path, min - 1, true]);
          }
        }
        if (isUnique === true) {
          const first = valueAt(base, `${path}[0]`) ?? null;
          const answer = await kindOf(corpus).try({ [path]: [first, first] });
          expect([path, fieldsOf(answer)]).toEqual([path, expect.arrayContaining([`${path}[1]`])]);
        }
      }
    });

    test('requires what it must have', async () => {
      for (const [path, names] of Object.entries(corpus.required)) {
        const whole = path === '' ? base : valueAt(base, path);
        if (typeof whole !== 'object' || whole === null) throw new Error(`no ${path} in the object`);
        for (const name of names) {
          const at = path === '' ? name : `${path}.${name}`;
          const answer = await kindOf(corpus).try({ [at]: undefined });
          expect([at, answer.isAccepted, fieldsOf(answer)]).toEqual([
            at,
            false,
            expect.arrayContaining([expect.stringMatching(endOf(at))]),
          ]);
        }
      }
    });

    test.each(corpus.rules)('$at: $message', async ({ message, at, accepted: good, refused: bad }) => {
      for (const version of [resource.version, ...(corpus.otherVersions ?? [])]) {
        for (const change of good) {
          expect([change, (await kindOf(corpus).try(change, { version })).blamed]).toEqual([change, []]);
        }
        for (const change of bad) {
          const { isAccepted, blamed } = await kindOf(corpus).try(change, { version });
          expect([change, isAccepted]).toEqual([change, false]);
          const own = blamed.filter((b) => plainField(b.field) === plainField(at));
          expect([change, own.map((b) => b.message)]).not.toEqual([change, []]);
          // Which rule it was can be told by our words only.
          if (isOurs)
            expect([change, own.map((b) => b.message).join('\n')]).toEqual([
              change,
              expect.stringContaining(message),
            ]);
        }
      }
    });

    test('does not know fields of other channels', async () => {
      const change = corpus.unknown;
      const strict = await kindOf(corpus).try(change, { isStrict: true });
      expect(strict.isAccepted).toBe(false);
      for (const path of Object.keys(change)) {
        expect(strict.blamed.map((b) => b.message).join()).toContain(`unknown field "${path}"`);
      }
      expect((await kindOf(corpus).try(change)).stored).toEqual((await kindOf(corpus).try({})).stored);
    });

    test('fills in what is left out', async () => {
      for (const { given, stored } of corpus.defaults) {
        for (const version of [resource.version, ...(corpus.otherVersions ?? [])]) {
          const answer = await kindOf(corpus).create(given, { resource: { ...resource, version } });
          expect([given, answer.stored]).toEqual([given, stored]);
        }
      }
    });
  });

  test.each(byKind.filter(({ corpus }) => corpus.immutable !== undefined))(
    'of $kind keep what is fixed once set',
    async ({ corpus }) => {
      const { change = {}, at = '', message = '' } = corpus.immutable ?? {};
      expect((await kindOf(corpus).try(change)).blamed).toEqual([]);
      const answer = await kindOf(corpus).update(change);
      expect(fieldsOf(answer)).toEqual([at]);
      if (isOurs) expect(answer.blamed[0]?.message).toContain(message);
    },
  );
});

/** A missing field is blamed itself, or the map that lacks it. */
function endOf(path: string): RegExp {
  const escaped = plainField(path).replace(/[.[\]]/g, '\\$&');
  return new RegExp(`^${escaped}$`);
}
