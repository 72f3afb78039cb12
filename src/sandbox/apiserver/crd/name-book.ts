import { type JsonObject, objectOf, objectsOf, stringOf, stringsOf } from '../../base/json.js';
import type { ApiObject } from '../object.js';

/** Names that a definition asks for and may have, and what stands in the way of the others. */
export interface NameDecision {
  readonly accepted: JsonObject;
  readonly conflict: { readonly reason: string; readonly message: string } | undefined;
}

const resourceNames = ['plural', 'singular'] as const;
const kindNames = ['kind', 'listKind'] as const;

/** The names in use, by API group: of two definitions that want the same one, the first has it. */
export class NameBook {
  /** What each definition got; plurals and kinds are different name spaces. */
  readonly #accepted = new Map<string, { readonly group: string; readonly names: JsonObject }>();

  /** Decides on the names of a definition and enters what it gets. */
  decide(crd: ApiObject): NameDecision {
    const spec = objectOf(crd.spec);
    const group = stringOf(spec.group);
    const wanted = objectOf(spec.names);
    const before = objectOf(
      this.#accepted.get(crd.metadata.name)?.names ?? objectOf(crd.status).acceptedNames,
    );
    const taken = this.#takenIn(group, crd.metadata.name);
    const accepted: JsonObject = {};
    let conflict: NameDecision['conflict'];
    const refuse = (reason: string, names: readonly string[]): void => {
      const list = names.map((n) => JSON.stringify(n)).join(', ');
      conflict = { reason, message: `${list} is already in use` };
    };
    for (const key of resourceNames) {
      const name = stringOf(wanted[key]);
      if (taken.resources.has(name)) {
        refuse(key === 'plural' ? 'PluralConflict' : 'SingularConflict', [name]);
        if (before[key] !== undefined) accepted[key] = before[key];
      } else if (name !== '') accepted[key] = name;
    }
    const shortNames = stringsOf(wanted.shortNames);
    const clashing = shortNames.filter((n) => taken.resources.has(n));
    if (clashing.length > 0) refuse('ShortNamesConflict', clashing);
    else if (shortNames.length > 0) accepted.shortNames = shortNames;
    for (const key of kindNames) {
      const name = stringOf(wanted[key]);
      if (taken.kinds.has(name)) {
        refuse(key === 'kind' ? 'KindConflict' : 'ListKindConflict', [name]);
        accepted[key] = stringOf(before[key]);
      } else if (name !== '') accepted[key] = name;
    }
    if (accepted.listKind === '') delete accepted.listKind;
    const categories = stringsOf(wanted.categories);
    if (categories.length > 0) accepted.categories = categories;
    this.#accepted.set(crd.metadata.name, { group, names: accepted });
    return { accepted, conflict };
  }

  /** Gives the names of a definition back. */
  release(crd: ApiObject): void {
    this.#accepted.delete(crd.metadata.name);
  }

  #takenIn(group: string, except: string): { resources: Set<string>; kinds: Set<string> } {
    const resources = new Set<string>();
    const kinds = new Set<string>();
    for (const [name, entry] of this.#accepted) {
      if (name === except || entry.group !== group) continue;
      for (const key of resourceNames)
        if (stringOf(entry.names[key]) !== '') resources.add(stringOf(entry.names[key]));
      for (const short of stringsOf(entry.names.shortNames)) resources.add(short);
      for (const key of kindNames)
        if (stringOf(entry.names[key]) !== '') kinds.add(stringOf(entry.names[key]));
    }
    return { resources, kinds };
  }
}

/** Whether a definition was served before, which it stays whatever happens to its names. */
export function isEstablished(crd: ApiObject): boolean {
  return objectsOf(objectOf(crd.status).conditions).some(
    (c) => c.type === 'Established' && c.status === 'True',
  );
}
