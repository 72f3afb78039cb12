import { stringify } from 'yaml';

/** One YAML document. A module of its own, so that YAML is loaded only for `-o yaml`. */
export function toYaml(document: object): string {
  return stringify(document, { lineWidth: 0, aliasDuplicateObjects: false });
}
