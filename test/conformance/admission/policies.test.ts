import { beforeEach, expect, test } from 'vitest';
import type { JsonObject } from '#sandbox/base/json.js';
import { eventually } from '../../harness/cluster.js';
import { describeServers, type RawAnswer } from '../servers.js';

const api = '/apis/admissionregistration.k8s.io/v1';
const apiVersion = 'admissionregistration.k8s.io/v1';
const configMapRule = { apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'], operations: ['*'] };

describeServers('validating admission policies', (server) => {
  let namespace: string;
  let count = 0;

  beforeEach(async () => {
    namespace = await server().namespace('policies', { team: 'blue' });
  });

  const post = (path: string, body: JsonObject): Promise<RawAnswer> =>
    server().raw({ method: 'POST', path, body });
  const write = (name: string, data: JsonObject, more: JsonObject = {}): Promise<RawAnswer> =>
    post(`/api/v1/namespaces/${namespace}/configmaps`, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name, ...more },
      data,
    });
  const policyBody = (name: string, spec: JsonObject): JsonObject => ({
    apiVersion,
    kind: 'ValidatingAdmissionPolicy',
    metadata: { name },
    spec: { matchConstraints: { resourceRules: [configMapRule] }, ...spec },
  });

  /** Makes a policy with a binding for this test's namespace; resolves when it is enforced. */
  async function enforced(spec: JsonObject, binding: JsonObject = {}): Promise<string> {
    const name = `conformance-${count++}`;
    const probe = {
      expression: "object == null || object.metadata.name != 'probe'",
      message: 'enforced',
    };
    const validations = [probe, ...((spec.validations as JsonObject[] | undefined) ?? [])];
    const made = await post(`${api}/validatingadmissionpolicies`, policyBody(name, { ...spec, validations }));
    expect(made.status, made.text).toBe(201);
    const bound = await post(`${api}/validatingadmissionpolicybindings`, {
      apiVersion,
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata: { name },
      spec: {
        policyName: name,
        validationActions: ['Deny'],
        matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': namespace } } },
        ...binding,
      },
    });
    expect(bound.status, bound.text).toBe(201);
    await eventually(
      async () => {
        const answer = await write('probe', { team: 'x' });
        const isSeen = answer.status === 422 || (answer.headers.warning ?? '').includes('enforced');
        if (answer.status === 201) {
          await server().raw({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/configmaps/probe` });
        }
        if (!isSeen) throw new Error(`the policy is not enforced yet: ${answer.text}`);
      },
      { timeoutMs: 15_000 },
    );
    return name;
  }

  test('deny with the message, reason and code of the validation', async () => {
    const name = await enforced({
      variables: [
        { name: 'size', expression: 'size(object.data)' },
        { name: 'double', expression: 'variables.size * 2' },
      ],
      validations: [
        { expression: 'variables.double <= 4' },
        { expression: "!('secret' in object.data)", message: 'no secrets', reason: 'Forbidden' },
        {
          expression: "!has(object.data.team) || object.data.team != 'red'",
          messageExpression:
            "'team ' + object.data.team + ' has no place in ' + namespaceObject.metadata.labels.team",
        },
        { expression: "object.data.needed == 'x' || has(object.data.team)" },
        // Over several lines, and without a message.
        { expression: "\n  !(has(object.data.team)\n    && object.data.team == 'green')\n" },
      ],
    });
    const refused = `is forbidden: ValidatingAdmissionPolicy '${name}' with binding '${name}' denied request`;
    expect((await write('three', { a: '', b: '', team: '' })).json()).toMatchObject({
      code: 422,
      reason: 'Invalid',
      message: `configmaps "three" ${refused}: failed expression: variables.double <= 4`,
      details: { name: 'three', kind: 'configmaps' },
    });
    expect((await write('secretive', { secret: '', team: '' })).json()).toMatchObject({
      code: 403,
      reason: 'Forbidden',
      message: `configmaps "secretive" ${refused}: no secrets`,
    });
    expect((await write('red', { team: 'red' })).json()).toMatchObject({
      message: `configmaps "red" ${refused}: team red has no place in blue`,
    });
    expect((await write('green', { team: 'green' })).json()).toMatchObject({
      message: `configmaps "green" ${refused}: failed expression: !(has(object.data.team)\n    && object.data.team == 'green')`,
    });
    expect((await write('broken', { a: '' })).json()).toMatchObject({
      code: 422,
      message: `configmaps "broken" ${refused}: expression 'object.data.needed == 'x' || has(object.data.team)' resulted in error: no such key: needed`,
    });
    expect((await write('good', { team: 'blue' })).status).toBe(201);
  });

  test('know elements that are optional', async () => {
    const path = (team: string): string => `[?object.?data[?'${team}']]`;
    await enforced({
      validations: [
        `${path('team')} == ['blue'] && ${path('none')} == []`,
        "{'a': 1, ?'b': optional.of(2), ?'c': object.data[?'none'].optMap(v, 3)} == {'a': 1, 'b': 2}",
        '[?has(object.data.none) ? optional.of(1) : optional.none(), 2, ?optional.of(3)] == [2, 3]',
        '[1, 2].map(x, [?optional.of(x), ?optional.none()]) == [[1], [2]]',
      ].map((expression) => ({ expression })),
    });
    const answer = await write('optional', { team: 'blue' });
    expect(answer.status, answer.text).toBe(201);
    for (const [expression, at, found] of [
      ['[?1] == [1]', 3, 'int'],
      ["{?'a': 'b'} == {}", 8, 'string'],
    ]) {
      const refused = await post(
        `${api}/validatingadmissionpolicies`,
        policyBody('refused', { validations: [{ expression }] }),
      );
      expect(refused.json<{ message: string }>().message).toContain(
        `ERROR: <input>:1:${at}: expected type 'optional_type(${found})' but found '${found}'`,
      );
    }
  });

  test('warn without refusing', async () => {
    const name = await enforced(
      { validations: [{ expression: 'has(object.data.team)', message: 'say which team' }] },
      { validationActions: ['Warn', 'Audit'] },
    );
    const made = await write('teamless', { a: '' });
    expect(made.status).toBe(201);
    expect(made.headers.warning).toContain(
      `Validation failed for ValidatingAdmissionPolicy '${name}' with binding '${name}': say which team`,
    );
  });

  test('take parameters from the cluster', async () => {
    await post(`/api/v1/namespaces/${namespace}/secrets`, {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'limits' },
      stringData: { team: 'blue' },
    });
    const paramKind = { apiVersion: 'v1', kind: 'Secret' };
    const named = await enforced(
      {
        paramKind,
        validations: [{ expression: "params.data.team == 'Ymx1ZQ==' && object.data.team == 'blue'" }],
      },
      { paramRef: { name: 'limits', parameterNotFoundAction: 'Deny' } },
    );
    expect((await write('blue', { team: 'blue' })).status).toBe(201);
    expect((await write('green', { team: 'green' })).status).toBe(422);
    await server().raw({ method: 'DELETE', path: `/api/v1/namespaces/${namespace}/secrets/limits` });
    await eventually(
      async () => {
        const answer = (await write('orphan', { team: 'blue' })).json<{ message?: string }>();
        expect(answer.message).toBe(
          `configmaps "orphan" is forbidden: ValidatingAdmissionPolicy '${named}' with binding '${named}' denied request: failed to configure binding: no params found for policy binding with \`Deny\` parameterNotFoundAction`,
        );
      },
      { timeoutMs: 5_000 },
    );
  });

  test('match by conditions and by excluded rules', async () => {
    await enforced({
      matchConstraints: {
        resourceRules: [configMapRule],
        excludeResourceRules: [{ ...configMapRule, resourceNames: ['free'] }],
      },
      matchConditions: [{ name: 'creations', expression: "request.operation == 'CREATE'" }],
      validations: [{ expression: 'has(object.data.team)' }],
    });
    expect((await write('bound', { a: '' })).status).toBe(422);
    expect((await write('free', { a: '' })).status).toBe(201);
    const deleted = await server().raw({
      method: 'DELETE',
      path: `/api/v1/namespaces/${namespace}/configmaps/free`,
    });
    expect(deleted.status).toBe(200);
  });

  test('are refused when they cannot work', async () => {
    const attempt = async (spec: JsonObject): Promise<string> => {
      const answer = await post(`${api}/validatingadmissionpolicies`, policyBody('wrong', spec));
      expect(answer.status).toBe(422);
      return answer.json<{ message: string }>().message;
    };
    const of = 'ValidatingAdmissionPolicy.admissionregistration.k8s.io "wrong" is invalid: ';
    expect(await attempt({ validations: [{ expression: 'object.a +' }] })).toContain(
      `${of}spec.validations[0].expression: Invalid value: "object.a +": compilation failed: ERROR: <input>:1:11: Syntax error:`,
    );
    expect(await attempt({ validations: [{ expression: 'request.nonsense == 1' }] })).toContain(
      `${of}spec.validations[0].expression: Invalid value: "request.nonsense == 1": compilation failed: ERROR: <input>:1:8: undefined field 'nonsense'`,
    );
    expect(
      await attempt({
        variables: [{ name: 'now', expression: '1' }],
        validations: [{ expression: 'variables.later' }],
      }),
    ).toContain(`<input>:1:10: undefined field 'later'`);
    expect(await attempt({ validations: [{ expression: 'params.x == 1' }] })).toContain(
      "undeclared reference to 'params' (in container '')",
    );
    expect(await attempt({ validations: [{ expression: "'text'" }] })).toBe(
      `${of}spec.validations[0].expression: Invalid value: "'text'": must evaluate to bool but got string`,
    );
    expect(await attempt({ validations: [{ expression: 'true', reason: 'Because' }] })).toBe(
      `${of}spec.validations[0].reason: Unsupported value: "Because": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"`,
    );
  });

  test('say in their status what does not fit the kinds they name', async () => {
    const deployments = { ...configMapRule, apiGroups: ['apps'], resources: ['deployments'] };
    const made = await post(
      `${api}/validatingadmissionpolicies`,
      policyBody('checked', {
        matchConstraints: { resourceRules: [deployments] },
        validations: [
          { expression: 'object.spec.replicas > 1 && has(object.metadata.labels)' },
          { expression: "object.spec.replicas == 'many'" },
          { expression: 'object.spec.template.spec.containers.all(c, c.imaeg != "")' },
        ],
      }),
    );
    expect(made.status).toBe(201);
    await eventually(
      async () => {
        const policy = await server().raw({ path: `${api}/validatingadmissionpolicies/checked` });
        expect(policy.json()).toMatchObject({
          status: {
            observedGeneration: 1,
            typeChecking: {
              expressionWarnings: [
                {
                  fieldRef: 'spec.validations[1].expression',
                  warning: expect.stringContaining(
                    "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_==_' applied to '(int, string)'",
                  ),
                },
                {
                  fieldRef: 'spec.validations[2].expression',
                  warning: expect.stringContaining("undefined field 'imaeg'"),
                },
              ],
            },
          },
        });
      },
      { timeoutMs: 5_000 },
    );
  });

  test('do not keep a definition that is deleted, nor its objects', async () => {
    const name = 'lids.policies.example.com';
    const definitions = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
    const lids = `/apis/policies.example.com/v1/namespaces/${namespace}/lids`;
    const openAPIV3Schema = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
    const crd = await post(definitions, {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name },
      spec: {
        group: 'policies.example.com',
        scope: 'Namespaced',
        names: { plural: 'lids', kind: 'Lid', singular: 'lid', listKind: 'LidList' },
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
      },
    });
    expect(crd.status, crd.text).toBe(201);
    const lid = (of: string, finalizers: string[] = []): JsonObject => ({
      apiVersion: 'policies.example.com/v1',
      kind: 'Lid',
      metadata: { name: of, finalizers },
    });
    await eventually(
      async () => {
        const made = await post(lids, lid('guarded', ['example.com/hold']));
        if (made.status !== 201) throw new Error(made.text);
      },
      { timeoutMs: 5_000 },
    );
    const rule = (group: string, resource: string, operation: string): JsonObject => ({
      apiGroups: [group],
      apiVersions: ['*'],
      resources: [resource],
      operations: [operation],
    });
    const rules = [
      configMapRule,
      rule('apiextensions.k8s.io', 'customresourcedefinitions', 'UPDATE'),
      rule('policies.example.com', 'lids', 'DELETE'),
    ];
    await enforced(
      {
        matchConstraints: { resourceRules: rules },
        validations: [{ expression: "request.resource.resource == 'configmaps'", message: 'never' }],
      },
      { matchResources: {} },
    );
    const remove = (path: string): Promise<RawAnswer> => server().raw({ method: 'DELETE', path });
    expect((await remove(`${lids}/guarded`)).json()).toMatchObject({ code: 422 });
    expect((await remove(`${definitions}/${name}`)).status).toBe(200);
    await eventually(
      async () => {
        const answer = await post(lids, lid('late'));
        expect(answer.json()).toMatchObject({
          code: 403,
          message: expect.stringContaining(
            'create not allowed while custom resource definition is terminating',
          ) as string,
        });
      },
      { timeoutMs: 10_000 },
    );
    const conditions = (await server().raw({ path: `${definitions}/${name}` })).json();
    expect(conditions).toMatchObject({
      status: {
        conditions: expect.arrayContaining([
          expect.objectContaining({
            type: 'Terminating',
            status: 'True',
            reason: 'InstanceDeletionInProgress',
          }),
        ]) as unknown,
      },
    });
    const released = await server().raw({
      method: 'PATCH',
      path: `${lids}/guarded`,
      headers: { 'content-type': 'application/merge-patch+json' },
      body: { metadata: { finalizers: null } },
    });
    expect(released.status, released.text).toBe(200);
    await eventually(
      async () => expect((await server().raw({ path: `${definitions}/${name}` })).status).toBe(404),
      { timeoutMs: 20_000 },
    );
  });

  test('say so of custom kinds as well', async () => {
    const names = { plural: 'jars', kind: 'Jar', singular: 'jar', listKind: 'JarList' };
    const openAPIV3Schema = {
      type: 'object',
      properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } },
    };
    const crd = await post('/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'jars.policies.example.com' },
      spec: {
        group: 'policies.example.com',
        scope: 'Namespaced',
        names,
        versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema } }],
      },
    });
    expect(crd.status, crd.text).toBe(201);
    const jars = { ...configMapRule, apiGroups: ['policies.example.com'], resources: ['jars'] };
    const made = await post(
      `${api}/validatingadmissionpolicies`,
      policyBody('jars', {
        matchConstraints: { resourceRules: [jars] },
        validations: [{ expression: "object.spec.size == 'large'" }],
      }),
    );
    expect(made.status, made.text).toBe(201);
    await eventually(
      async () => {
        const policy = await server().raw({ path: `${api}/validatingadmissionpolicies/jars` });
        expect(policy.json()).toMatchObject({
          status: {
            typeChecking: {
              expressionWarnings: [
                { warning: expect.stringContaining('policies.example.com/v1, Kind=Jar') as string },
              ],
            },
          },
        });
      },
      { timeoutMs: 5_000 },
    );
  });
});
