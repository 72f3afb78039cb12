import { expect, test } from 'vitest';
import { describeServers } from './servers.js';

interface Index {
  readonly paths: Readonly<Record<string, { readonly serverRelativeURL: string }>>;
}

interface Document {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> };
}

describeServers('OpenAPI', (server, kind) => {
  test('every group version has a document that every reference in it leads into', async () => {
    const { paths } = (await server().raw({ path: '/openapi/v3' })).json<Index>();
    const versions = Object.keys(paths).filter((p) => /^(?:api\/v1|apis\/[^/]+\/v\d+)$/.test(p));
    expect(versions).toContain('apis/flowcontrol.apiserver.k8s.io/v1');
    for (const version of versions) {
      const url = paths[version]?.serverRelativeURL ?? '';
      expect(url).toMatch(/\?hash=[0-9A-F]+$/);
      const answer = await server().raw({ path: url, headers: { accept: 'application/json' } });
      const { schemas } = answer.json<Document>().components;
      const named = [...answer.text.matchAll(/"#\/components\/schemas\/([^"]+)"/g)].map((m) => m[1] ?? '');
      expect(named.filter((name) => schemas[name] === undefined)).toEqual([]);
      // Go's clients have none, and take what they wrote for another document.
      expect(answer.text).not.toContain('"parameters":[]');
    }
  });

  test('a document that has not changed is not sent again', async () => {
    const path = '/openapi/v3/apis/apps/v1';
    const first = await server().raw({ path });
    const again = await server().raw({ path, headers: { 'if-none-match': first.headers.etag ?? '' } });
    expect(again.status).toBe(304);
  });

  test('operations say what clients look for before they validate', async () => {
    const core = (await server().raw({ path: '/openapi/v3/api/v1' })).json<Document>();
    const patch = core.paths['/api/v1/namespaces/{name}']?.patch as { parameters: { name: string }[] };
    expect(patch.parameters.map((p) => p.name)).toContain('fieldValidation');
    expect(Object.keys(core.paths['/api/v1/namespaces/{namespace}/pods/{name}/eviction'] ?? {})).toContain(
      'post',
    );
  });

  test('an open custom resource has no named fields in OpenAPI 2, which would close it', async () => {
    const crd = {
      apiVersion: 'apiextensions.k8s.io/v1',
      kind: 'CustomResourceDefinition',
      metadata: { name: 'opens.openapi.example.com' },
      spec: {
        group: 'openapi.example.com',
        scope: 'Cluster',
        names: { plural: 'opens', kind: 'Open' },
        versions: [
          {
            name: 'v1',
            served: true,
            storage: true,
            schema: { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } },
          },
        ],
      },
    };
    await server().raw({
      method: 'POST',
      path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions',
      body: crd,
    });
    const read = async () => {
      const answer = await server().raw({ path: '/openapi/v2', headers: { accept: 'application/json' } });
      return answer.json<{ definitions: Record<string, unknown> }>().definitions[
        'com.example.openapi.v1.Open'
      ];
    };
    await expect.poll(read, { timeout: 15_000, interval: 200 }).toEqual({
      type: 'object',
      'x-kubernetes-group-version-kind': [{ group: 'openapi.example.com', version: 'v1', kind: 'Open' }],
      'x-kubernetes-selectable-fields': [],
    });
  });

  test('kubectl explains fields with their types', async () => {
    const text = await server().ok(['explain', 'deployment.spec.template.spec', '--recursive']);
    expect(text).toContain('containers\t<[]Container> -required-');
    expect(text).toContain('terminationGracePeriodSeconds\t<integer>');
    expect(text).toMatch(/\n +periodSeconds\t<integer>/);
    expect(await server().ok(['explain', 'csr.spec.usages'])).toContain('<[]string>');
  });

  test('kubectl refuses what the kind does not have', async () => {
    const manifest = 'apiVersion: v1\nkind: Namespace\nmetadata: {name: odd}\nspec: {bogus: 1}\n';
    const refused = await server().kubectl(['create', '--validate=strict', '-f', '-'], manifest);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toContain('unknown field "spec.bogus"');
    const warned = await server().kubectl(
      ['create', '--validate=warn', '--dry-run=server', '-f', '-'],
      manifest,
    );
    expect(warned.exitCode).toBe(0);
    expect(warned.stderr).toContain('unknown field "spec.bogus"');
  });

  // Our own words, so only of our own server.
  test.runIf(kind === 'embedded')('kubectl explains what kinds and fields are for', async () => {
    expect(await server().ok(['explain', 'deployment'])).toMatch(/DESCRIPTION:\n +Keeps a number of/);
    expect(await server().ok(['explain', 'pod.spec.restartPolicy'])).toContain('Always, OnFailure or Never');
  });
});
