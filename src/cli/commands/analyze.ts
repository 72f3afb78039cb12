import { counted } from '#base/collections/counted.js';
import { groupBy } from '#base/collections/group-by.js';
import { MeshError } from '#base/errors/mesh-error.js';
import { groupVersionOf } from '#base/kube/resource.js';
import { analyze, parseSuppression, type Suppression } from '#mesh/inspect/analysis/analyze.js';
import { configurationChecks, checkedResources } from '#mesh/inspect/checks/configuration-checks.js';
import { kindKey } from '#mesh/inspect/configuration/configuration.js';
import { workloadKinds } from '#mesh/inspect/configuration/file-configuration.js';
import {
  type Manifests,
  parseManifests,
  readManifestFiles,
} from '#mesh/inspect/configuration/manifest-files.js';
import type { Finding } from '#mesh/inspect/findings/finding.js';
import { flattenFindings } from '#mesh/inspect/findings/fold.js';
import { MeshObserver } from '#mesh/inspect/mesh-observer.js';
import { subjectText } from '#mesh/inspect/findings/finding.js';
import {
  allNamespacesOption,
  type CommandDefinition,
  failOnOption,
  fileOption,
  type TextView,
} from '../command.js';
import type { CommandContext } from '../context.js';
import { errorCatalog } from '../error-catalog.js';
import { exitCodeOfFindings } from '../exit-code.js';
import { findingDocuments } from '../finding-document.js';
import { findingsText } from '../finding-text.js';
import { junitReport } from '../junit.js';
import { sarifReport } from '../sarif.js';
import { configurationPermissions } from '../permissions.js';

/** `meshctl analyze [-f FILE]...`: exit 1 when there are findings of the severity of `--fail-on`. */
export const command: CommandDefinition = {
  description:
    'Looks for mistakes in the configuration of the mesh: that of the cluster, or with -f that of the cluster as the files would leave it. Without a cluster (none can be reached, or --use-kube=false) the files stand alone.',
  options: [
    fileOption,
    allNamespacesOption,
    failOnOption,
    { flags: '-R, --recursive', description: 'folders with those below them' },
    {
      flags: '-S, --suppress <code[=object]>',
      description: 'leave out a code, or a code at an object such as "MESH1101=Service web.shop"; repeatable',
      repeat: true,
    },
    {
      flags: '--use-kube <boolean>',
      description:
        'false: files alone; true: no files without a cluster (default: files alone if there is none)',
      choices: ['true', 'false'],
    },
  ],
  formats: ['table', 'wide', 'json', 'yaml', 'sarif', 'junit'],
  examples: [
    'meshctl analyze -A',
    'meshctl analyze -f k8s/ -R --use-kube=false',
    'meshctl analyze -f policy.yaml -o sarif > analyze.sarif',
  ],
  permissions: configurationPermissions,
  run: async (context) => {
    const { options } = context;
    const suppressions = options.texts('suppress').map(readSuppression);
    const paths = options.texts('filename');
    const useKube = options.text('use-kube');
    const isLive = useKube !== 'false';
    if (!isLive && paths.length === 0) {
      throw new MeshError('MESH0102', 'without a cluster there is nothing to analyze but files', {
        hint: 'Name files with -f, or leave --use-kube=false out.',
      });
    }
    // Files first: what cannot be read is said before anybody waits for a cluster.
    const texts = readManifestFiles(paths, options.flag('recursive'));
    const manifests = paths.length === 0 ? undefined : parseManifests(texts);
    const { meshNamespace, isVerbose, progress } = context;
    if (isVerbose && manifests !== undefined) {
      for (const line of ignoredKinds(manifests)) progress.warn(line);
    }
    const request = { meshNamespace, manifests, suppressions };
    const look = async (): Promise<{ readonly scope: Scope; readonly found: readonly Finding[] }> => {
      const scope = isLive ? await liveScope(context, paths.length > 0) : filesAlone(context);
      return { scope, found: await analyze({ ...request, ...scope }) };
    };
    const { scope, found: findings } = await look().catch(async (error: unknown) => {
      // Whoever names a cluster means that one.
      const isNamed = ['kubeconfig', 'context'].some((name) => options.text(name) !== undefined);
      if (manifests === undefined || isNamed || useKube === 'true' || !isAccessError(error)) throw error;
      const scope = filesAlone(context);
      return { scope, found: [...(await analyze({ ...request, ...scope })), withoutCluster(error)] };
    });
    const what =
      manifests === undefined ? scope.what : `${counted(manifests.objects.length, 'object')} of files`;
    return {
      kind: 'Analysis',
      data: { findings: findingDocuments(findings) },
      text: (view) => render(findings, what, view),
      formats: { sarif: () => sarifReport(findings), junit: () => junit(findings) },
      exitCode: exitCodeOfFindings(
        findings.map(({ severity }) => severity),
        options.text('fail-on') ?? 'error',
      ),
    };
  },
};

/** Whether a cluster is there, and permits a look at it, is the question that was answered with no. */
function isAccessError(error: unknown): error is MeshError {
  return error instanceof MeshError && errorCatalog[error.code]?.kind === 'access';
}

function withoutCluster(error: MeshError): Finding {
  return {
    code: 'MESH1195',
    severity: 'info',
    message: 'files alone: no cluster was looked at, and what the files do not hold is unknown',
    evidence: [`${error.code} ${error.message}`],
    fix: 'Name a cluster (--context), or say --use-kube=false to leave it out on purpose.',
  };
}

/** Objects of files that no check reads, by kind. */
function ignoredKinds({ objects }: Manifests): readonly string[] {
  const known = new Set([...checkedResources(), ...workloadKinds].map(kindKey));
  const kinds = objects
    .map(({ object: { apiVersion, kind } }) => kindKey({ group: groupVersionOf(apiVersion).group, kind }))
    .filter((key) => !known.has(key));
  return [...groupBy(kinds, (key) => key)].map(
    ([key, all]) => `${all.length} of ${key.replace(/^\//, '')}: no check reads this kind`,
  );
}

interface Scope {
  readonly observer: MeshObserver | undefined;
  readonly namespaces: readonly string[] | undefined;
  readonly defaultNamespace: string;
  readonly what: string;
}

/** Files may concern any namespace; without them it is one, or all with -A. */
async function liveScope(context: CommandContext, hasFiles: boolean): Promise<Scope> {
  const { client, namespace } = await context.kube();
  const isEverywhere =
    context.options.flag('all-namespaces') || (hasFiles && context.namespace === undefined);
  return {
    observer: new MeshObserver(client, context.meshNamespace),
    namespaces: isEverywhere ? undefined : [namespace],
    defaultNamespace: namespace,
    what: isEverywhere ? 'all namespaces' : `namespace ${namespace}`,
  };
}

function filesAlone(context: CommandContext): Scope {
  return {
    observer: undefined,
    namespaces: undefined,
    defaultNamespace: context.namespace ?? 'default',
    what: 'files',
  };
}

function readSuppression(text: string): Suppression {
  const found = parseSuppression(text);
  if (found !== undefined) return found;
  throw new MeshError('MESH0103', `--suppress: "${text}" is no code`, {
    hint: 'Use MESH1101, or MESH1101="Service web.shop" for one object.',
  });
}

function render(findings: readonly Finding[], what: string, view: TextView): string {
  const count = (severity: Finding['severity']): number =>
    findings.filter((finding) => finding.severity === severity).length;
  const [errors, warnings, infos] = [count('error'), count('warning'), count('info')];
  const counts = `${counted(errors, 'error')}, ${counted(warnings, 'warning')}, ${counted(infos, 'note')} in ${what}`;
  if (findings.length === 0) return view.style.good(`Nothing wrong found in ${what}.`);
  const severity = errors > 0 ? 'bad' : warnings > 0 ? 'warn' : 'dim';
  return [view.style[severity](`${counts}.`), '', findingsText(findings, view)].join('\n');
}

/** Findings as cases that fail, and as one that passes every code that nothing was found for. */
function junit(findings: readonly Finding[]): string {
  const all = flattenFindings(findings);
  const codes = new Set(all.map(({ code }) => code));
  const passed = configurationChecks
    .flatMap((check) => check.codes)
    .filter((code) => !codes.has(code))
    .map((code) => ({ group: code, name: `no: ${errorCatalog[code]?.title ?? code}` }));
  return junitReport('meshctl analyze', [
    ...all.map((finding) => {
      const name = finding.subject === undefined ? finding.message : subjectText(finding.subject);
      const place = finding.place === undefined ? name : `${name} (${finding.place})`;
      return {
        group: finding.code,
        name: place,
        // Notes are no failures.
        ...(finding.severity === 'info' ? {} : { failure: { type: finding.code, message: finding.message } }),
      };
    }),
    ...passed,
  ]);
}
