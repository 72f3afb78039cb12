import { MeshError } from '#base/errors/mesh-error.js';
import type { Finding } from '../../inspect/findings/finding.js';
import { mapIn, type TemplateFiles } from '../../templates/files.js';
import { withPlainLogLevel } from './log-level.js';
import { defaultProfile, platformValues, profileValues } from './profile.js';
import { ValuesSchema, withoutNulls } from './schema.js';
import { requireSupported, valueFindings } from './supported.js';
import { assign, parseAssignment } from './set-path.js';
import { isMap, mergeValues, type Value, type ValueMap, valueAt } from '../../templates/values.js';
import { readValuesFiles } from './values-file.js';

/** What the user asked for, in the order of the command line. */
export interface ValuesRequest {
  readonly profile?: string | undefined;
  readonly hub?: string | undefined;
  readonly tag?: string | undefined;
  /** `-f` */
  readonly files?: readonly string[];
  /** `--set` */
  readonly set?: readonly string[];
  /** `--set-string` */
  readonly setString?: readonly string[];
}

/** Everything that decides what is installed. */
export interface EffectiveValues {
  readonly profile: string;
  /** Empty for plain Kubernetes. */
  readonly platform: string;
  /** hub, tag, meshConfig, components, values: complete and checked. */
  readonly spec: ValueMap;
  /** What the user gave, over nothing: recorded, so that an upgrade starts from it. */
  readonly given: ValueMap;
  /** Values that nothing acts on: the user is told. */
  readonly findings: readonly Finding[];
}

/**
 * What the user gave, as one map and checked against the schema: `-f` files in
 * order, then `--set` in order, then the flags with names of their own.
 * @throws MESH0300 to MESH0303
 */
export function givenValues(files: TemplateFiles, request: ValuesRequest): ValueMap {
  const schema = new ValuesSchema(mapIn(files, 'values.schema.yaml'));
  let given: Value = readValuesFiles(request.files ?? []);
  const assignments = [
    ...(request.set ?? []).map((source) => ({ source, isString: false })),
    ...(request.setString ?? []).map((source) => ({ source, isString: true })),
  ];
  for (const { source, isString } of assignments) {
    const isStringPath = (path: readonly string[]): boolean => schema.isStringAt(path);
    given = assign(given, parseAssignment(source, { isString, isStringPath }));
  }
  const flags: ValueMap = {
    ...(request.profile === undefined ? {} : { profile: request.profile }),
    ...(request.hub === undefined ? {} : { hub: request.hub }),
    ...(request.tag === undefined ? {} : { tag: request.tag }),
  };
  if (!isMap(given)) throw new MeshError('MESH0302', 'the values are not a map');
  const merged = mergeKeepingNulls(given, flags);
  const checked = withoutNulls(merged);
  schema.check(isMap(checked) ? checked : {});
  return merged;
}

/** The platform named by the user; undefined when it is to be detected. */
export function givenPlatform(given: ValueMap): string | undefined {
  const platform = valueAt(given, ['values', 'global', 'platform']);
  return typeof platform === 'string' && platform !== '' ? platform : undefined;
}

interface LayerOptions {
  readonly given: ValueMap;
  readonly platform: string;
  readonly clientVersion: string;
}

/** The values of an installation to be made: as {@link effectiveValues}, and supported. @throws MESH0300, MESH0316 */
export function supportedValues(files: TemplateFiles, options: LayerOptions): EffectiveValues {
  const effective = effectiveValues(files, options);
  requireSupported(effective.spec, options.platform);
  return effective;
}

/**
 * Lays defaults, profile, platform and the user's values over each other. What an earlier version installed may
 * hold values that are not supported any more. @throws MESH0300
 */
export function effectiveValues(files: TemplateFiles, options: LayerOptions): EffectiveValues {
  const { given, platform } = options;
  const profile = typeof given['profile'] === 'string' ? given['profile'] : defaultProfile;
  const layers: ValueMap[] = [
    mapIn(files, 'values.yaml'),
    profileValues(files, profile),
    platformValues(files, platform),
    { values: { global: { platform } } },
    given,
    helmSpellings(given),
  ];
  const merged = layers.reduce(mergeValues);
  const tag = merged['tag'] === '' || merged['tag'] === undefined ? options.clientVersion : merged['tag'];
  const spec = withPlainLogLevel({ ...merged, tag, revision: merged['revision'] || 'default' });
  return { profile, platform, given, spec, findings: valueFindings(spec, given) };
}

/** `values.global.hub`, `values.global.tag` and `values.meshConfig` win over their top-level names, as upstream. */
function helmSpellings(given: ValueMap): ValueMap {
  const hub = valueAt(given, ['values', 'global', 'hub']);
  const tag = valueAt(given, ['values', 'global', 'tag']);
  const meshConfig = valueAt(given, ['values', 'meshConfig']);
  return {
    ...(hub === undefined ? {} : { hub }),
    ...(tag === undefined ? {} : { tag }),
    ...(meshConfig === undefined ? {} : { meshConfig }),
  };
}

function mergeKeepingNulls(base: ValueMap, over: ValueMap): ValueMap {
  return { ...base, ...over };
}
