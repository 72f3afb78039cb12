import { MeshError } from '#base/errors/mesh-error.js';
import { analyze, parseSuppression, type Suppression } from '#mesh/inspect/analysis/analyze.js';
import { parseManifests, readManifestFiles } from '#mesh/inspect/configuration/manifest-files.js';
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
import { exitCodeOfFindings } from '../exit-code.js';
import { findingDocuments } from '../finding-document.js';
import { findingsText } from '../finding-text.js';
import { junitReport } from '../junit.js';
import { sarifReport } from '../sarif.js';
import { configurationPermissions } from '../permissions.js';

/** `meshctl analyze [-f FILE]...`: exit 1 when there are findings of the severity of `--fail-on`. */
export const command: CommandDefinition = {
  description:
    'Looks for mistakes in the configuration of the mesh: that of the cluster, or with -f that of the cluster as the files would leave it. Without a cluster (--use-kube=false) the files stand alone.',
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
      description: 'false: files alone, without a cluster',
      choices: ['true', 'false'],
      defaultValue: 'true',
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
    const isLive = options.text('use-kube') !== 'false';
    if (!isLive && paths.length === 0) {
      throw new MeshError('MESH0102', 'without a cluster there is nothing to analyze but files', {
        hint: 'Name files with -f, or leave --use-kube=false out.',
      });
    }
    // Files first: what cannot be read is said before anybody waits for a cluster.
    const texts = readManifestFiles(paths, options.flag('recursive'));
    const manifests = paths.length === 0 ? undefined : parseManifests(texts);
    const scope = isLive ? await liveScope(context, paths.length > 0) : filesAlone(context);
    const findings = await analyze({
      ...scope,
      meshNamespace: context.meshNamespace,
      manifests,
      suppressions,
    });
    const what = manifests === undefined ? scope.what : `${manifests.objects.length} objects in files`;
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
  const counts = `${errors} errors, ${warnings} warnings, ${infos} notes in ${what}`;
  if (findings.length === 0) return view.style.good(`Nothing wrong found in ${what}.`);
  const severity = errors > 0 ? 'bad' : warnings > 0 ? 'warn' : 'dim';
  return [view.style[severity](`${counts}.`), '', findingsText(findings, view)].join('\n');
}

function junit(findings: readonly Finding[]): string {
  const all = flattenFindings(findings);
  return junitReport(
    'meshctl analyze',
    all.map((finding) => {
      const name = finding.subject === undefined ? finding.message : subjectText(finding.subject);
      const place = finding.place === undefined ? name : `${name} (${finding.place})`;
      return {
        group: finding.code,
        name: place,
        // Notes are no failures.
        ...(finding.severity === 'info' ? {} : { failure: { type: finding.code, message: finding.message } }),
      };
    }),
  );
}
