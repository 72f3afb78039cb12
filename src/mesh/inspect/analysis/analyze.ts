import type { KubeObject } from '#base/kube/types.js';
import { checkConfiguration, checkedResources } from '../checks/configuration-checks.js';
import type { Configuration } from '../configuration/configuration.js';
import { configurationOfFiles } from '../configuration/file-configuration.js';
import { type Manifests } from '../configuration/manifest-files.js';
import { readConfiguration } from '../configuration/live-configuration.js';
import { type Finding, subjectText } from '../findings/finding.js';
import { foldFindings } from '../findings/fold.js';
import type { MeshObserver } from '../mesh-observer.js';
import { assumedSettings } from '../mesh-settings.js';

/** What is analyzed. */
export interface AnalysisRequest {
  /** The cluster; undefined: files alone. */
  readonly observer: MeshObserver | undefined;
  readonly meshNamespace: string;
  /** Namespaces of the cluster that are asked about; undefined: all. */
  readonly namespaces: readonly string[] | undefined;
  /** For objects of files that name no namespace. */
  readonly defaultNamespace: string;
  readonly manifests: Manifests | undefined;
  /** Findings that are not to be shown. */
  readonly suppressions: readonly Suppression[];
}

/** `MESH1101` or `MESH1101=Service web.shop`, as upstream's `--suppress`; `*` in the object stands for any text. */
export interface Suppression {
  readonly code: string;
  readonly object: RegExp | undefined;
}

/** What configuration shows: of the cluster, of files, or of the cluster as files would leave it. */
export async function analyze(request: AnalysisRequest): Promise<readonly Finding[]> {
  const { observer, manifests } = request;
  const resources = checkedResources();
  const live =
    observer === undefined
      ? undefined
      : await readConfiguration(observer, { resources, namespaces: request.namespaces });
  if (manifests === undefined)
    return live === undefined ? [] : shown(checkConfiguration(live), live, request);
  const settings = live?.settings ?? assumedSettings(request.meshNamespace);
  const merged = configurationOfFiles(manifests, {
    live,
    settings,
    meshNamespace: request.meshNamespace,
    namespace: request.defaultNamespace,
    resources,
  });
  // What is wrong with the cluster already, and no file has a part in, is another question.
  const before = new Set((live === undefined ? [] : checkConfiguration(live)).map(keyOf));
  const found = checkConfiguration(merged).filter(
    (finding) => finding.place !== undefined || !before.has(keyOf(finding)),
  );
  return shown([...manifests.findings, ...found.map(inItsFile)], merged, request);
}

/** What stands in a file is mended there: a command for the cluster would last until the file is applied again. */
function inItsFile(finding: Finding): Finding {
  const { place, fix } = finding;
  if (place === undefined || fix === undefined || !/^kubectl (?:edit|label|patch) /.test(fix)) return finding;
  return { ...finding, fix: `In ${place}, as this would do: ${fix}` };
}

/** Reads `CODE[=OBJECT]`; undefined when it is neither. */
export function parseSuppression(text: string): Suppression | undefined {
  const match = /^(MESH\d{4})(?:=(.+))?$/.exec(text);
  if (match === null) return undefined;
  const [, code = '', object] = match;
  return { code, object: object === undefined ? undefined : pattern(object) };
}

function pattern(text: string): RegExp {
  const literal = text.split('*').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${literal.join('.*')}$`, 'i');
}

/** Annotation by which an object asks that codes are not reported about it; upstream's. */
const suppressAnnotation = 'galley.istio.io/analyze-suppress';

function shown(
  findings: readonly Finding[],
  configuration: Configuration,
  { suppressions }: AnalysisRequest,
): readonly Finding[] {
  const silenced = silencedBy(configuration);
  return foldFindings(
    findings.filter((finding) => {
      const { code, subject } = finding;
      const names = subject === undefined ? [] : [subjectText(subject), dottedText(subject)];
      if (
        names.some((name) => silenced.get(name)?.has(code) === true || silenced.get(name)?.has('*') === true)
      ) {
        return false;
      }
      return !suppressions.some(
        (one) =>
          one.code === code && (one.object === undefined || names.some((name) => one.object?.test(name))),
      );
    }),
  );
}

function silencedBy(configuration: Configuration): ReadonlyMap<string, ReadonlySet<string>> {
  const silenced = new Map<string, ReadonlySet<string>>();
  for (const resource of checkedResources()) {
    for (const { kind, metadata } of configuration.list<KubeObject>(resource)) {
      const codes = metadata.annotations?.[suppressAnnotation];
      if (codes === undefined) continue;
      const subject = { kind, namespace: metadata.namespace, name: metadata.name };
      silenced.set(subjectText(subject), new Set(codes.split(',').map((code) => code.trim())));
    }
  }
  return silenced;
}

/** `Service web.shop`, as upstream writes objects in `--suppress`. */
function dottedText({
  kind,
  namespace,
  name,
}: {
  readonly kind: string;
  readonly namespace?: string | undefined;
  readonly name: string;
}): string {
  return namespace === undefined ? `${kind} ${name}` : `${kind} ${name}.${namespace}`;
}

function keyOf({ code, subject, message }: Finding): string {
  return JSON.stringify([code, subject === undefined ? '' : subjectText(subject), message]);
}
