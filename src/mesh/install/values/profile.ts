import { MeshError } from '#base/errors/mesh-error.js';
import { nearMiss } from '#base/errors/near-miss.js';
import { mapIn, type TemplateFiles } from '../../templates/files.js';
import type { ValueMap } from '../../templates/values.js';

/** The profile used when none is named. */
export const defaultProfile = 'ambient';

/** Names of the profiles of this version. */
export function profileNames(files: TemplateFiles): string[] {
  return namesIn(files, 'profiles');
}

/** Names of the platforms that have overrides. */
export function platformNames(files: TemplateFiles): string[] {
  return namesIn(files, 'platforms');
}

/** Values of a profile. @throws MESH0300 */
export function profileValues(files: TemplateFiles, name: string): ValueMap {
  const names = profileNames(files);
  if (!names.includes(name)) {
    const near = nearMiss(name, names);
    throw new MeshError('MESH0300', `unknown profile "${name}"`, {
      evidence: `profiles: ${names.join(', ')}`,
      hint: near === undefined ? undefined : `Did you mean ${near}?`,
    });
  }
  return mapIn(files, `profiles/${name}.yaml`);
}

/** Overrides of a platform; empty for one without. */
export function platformValues(files: TemplateFiles, name: string): ValueMap {
  return platformNames(files).includes(name) ? mapIn(files, `platforms/${name}.yaml`) : {};
}

function namesIn(files: TemplateFiles, folder: string): string[] {
  return Object.keys(files)
    .filter((f) => f.startsWith(`${folder}/`))
    .map((f) => f.slice(folder.length + 1).replace(/\.yaml$/, ''))
    .toSorted();
}
