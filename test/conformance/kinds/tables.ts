import type { Json, JsonObject } from '#sandbox/base/json.js';
import type { ServerUnderTest } from '../servers.js';
import { type Case, type CorpusFile, objectOfCase, type Paths } from './corpus.js';

interface Table {
  readonly columnDefinitions: readonly {
    readonly name: string;
    readonly type: string;
    readonly format: string;
    readonly priority: number;
  }[];
  readonly rows: readonly { readonly cells: readonly Json[] }[];
}

/** What `kubectl get KIND -o wide` shows of one object: columns, and its cells where they do not tell the time. */
export interface Printed {
  readonly columns: readonly string[];
  readonly cells: readonly Json[];
}

const asTable = 'application/json;as=Table;v=v1;g=meta.k8s.io';

/** The table in which a server shows a new object of a case, without storing it. */
export async function printed(
  server: ServerUnderTest,
  paths: Paths,
  namespace: string,
  file: CorpusFile,
  c: Case,
): Promise<Printed | string> {
  const text = JSON.stringify(objectOfCase(file, c)).replaceAll('<ns>', namespace);
  const object = JSON.parse(text) as JsonObject & { apiVersion: string; kind: string };
  const target = paths.get(`${object.apiVersion} ${object.kind}`);
  const [base = '', plural = ''] = target?.path.split('|') ?? [];
  const collection = `${base}${target?.namespaced === true ? `/namespaces/${namespace}` : ''}/${plural}`;
  const answer = await server.raw({
    method: 'POST',
    path: `${collection}?dryRun=All`,
    headers: { accept: asTable },
    body: object,
  });
  const table = answer.json<Table>();
  if (answer.status !== 201) return answer.text;
  return {
    columns: table.columnDefinitions.map(
      (d) => `${d.name} ${d.type}${d.format === '' ? '' : ` (${d.format})`} ${d.priority}`,
    ),
    cells: (table.rows[0]?.cells ?? []).map(steady),
  };
}

/** Ages and addresses differ from run to run. */
function steady(value: Json): Json {
  if (typeof value !== 'string') return value;
  const cell = value.replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, '<uid>');
  if (/^(?:\d+[ydhms])+$/.test(cell)) return '<age>';
  if (/^20\d\d-\d\d-\d\dT[\d:]+Z$/.test(cell)) return '<time>';
  return /^10\.\d+\.\d+\.\d+$/.test(cell) ? '<address>' : cell;
}
