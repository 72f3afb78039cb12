import { isMap, type Value, type ValueMap } from './values.js';
import { renderDocument, renderNamed } from './render.js';
import { documentsIn, mapIn, type TemplateFiles } from './files.js';

/** Definitions that are written out. They are data, not templates: their descriptions may hold braces. */
const plainFolder = 'crds';
/** Definitions that share schemas, which stand in one file of the folder. */
const sharingFolder = 'gateway-api';
const sharedFile = `${sharingFolder}/shared.yaml`;

/** Every CRD that an installation brings, whole. */
export function renderCrds(files: TemplateFiles): { where: string; document: ValueMap }[] {
  const shared = renderNamed(mapIn(files, sharedFile), sharedFile);
  const inFolder = (folder: string, complete: (document: Value, where: string) => Value | undefined) =>
    documentsIn(files, folder)
      .filter(({ where }) => where !== sharedFile)
      .flatMap(({ where, document }) => {
        const whole = complete(document, where);
        return isMap(whole) ? [{ where, document: whole }] : [];
      });
  return [
    ...inFolder(plainFolder, (document) => document),
    ...inFolder(sharingFolder, (document, where) => renderDocument(document, shared, where)),
  ];
}
