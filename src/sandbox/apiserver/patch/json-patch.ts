import { cloneJson, equalJson, isObject, type Json, setOwn } from '../../base/json.js';
import { MalformedPatch, PatchNotApplicable } from './patch-error.js';

const verbs = ['add', 'remove', 'replace', 'move', 'copy', 'test'] as const;
type Verb = (typeof verbs)[number];
/** Copying what was copied doubles an object with every operation: the sum of copies is bounded. */
const copiedMaxBytes = 3 * 1024 * 1024;

interface Operation {
  readonly op: Verb;
  readonly path: readonly string[];
  readonly from: readonly string[] | undefined;
  readonly value: Json | undefined;
}

function pointerOf(text: Json | undefined): readonly string[] {
  if (text === '') return [];
  if (typeof text !== 'string' || !text.startsWith('/'))
    throw new PatchNotApplicable('a path is no JSON pointer');
  return text
    .slice(1)
    .split('/')
    .map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function operationOf(value: Json): Operation {
  if (!isObject(value)) {
    throw new MalformedPatch('json: cannot unmarshal into Go value of type handlers.jsonPatchOp');
  }
  const op = verbs.find((v) => v === value.op);
  if (op === undefined) throw new PatchNotApplicable('an operation is unknown');
  return {
    op,
    path: pointerOf(value.path),
    from: op === 'move' || op === 'copy' ? pointerOf(value.from) : undefined,
    value: value.value,
  };
}

/** The value inside `parent` at a step; undefined when there is none. */
function childAt(parent: Json | undefined, step: string): Json | undefined {
  if (Array.isArray(parent)) {
    return /^(0|[1-9]\d*)$/.test(step) ? (parent as Json[])[Number(step)] : undefined;
  }
  if (isObject(parent)) return Object.hasOwn(parent, step) ? parent[step] : undefined;
  return undefined;
}

function valueAt(root: Json, path: readonly string[]): Json | undefined {
  let current: Json | undefined = root;
  for (const step of path) current = childAt(current, step);
  return current;
}

/** Applies one document's operations, in place on its own copy. */
class PatchedDocument {
  root: Json;
  #copiedBytes = 0;

  constructor(target: Json) {
    this.root = cloneJson(target);
  }

  run({ op, path, from = [], value }: Operation): void {
    switch (op) {
      case 'add':
        return this.#set(path, value ?? null, 'insert');
      case 'replace':
        return this.#set(path, value ?? null, 'replace');
      case 'remove':
        this.#remove(path);
        return;
      case 'move':
        return this.#set(path, this.#remove(from), 'insert');
      case 'copy': {
        // Kubernetes' library copies nothing as null, which then counts as empty.
        const copy = cloneJson(valueAt(this.root, from) ?? null);
        this.#copiedBytes += JSON.stringify(copy).length;
        if (this.#copiedBytes > copiedMaxBytes) throw new PatchNotApplicable('copies are too large');
        return this.#set(path, copy, 'insert');
      }
      case 'test':
        // A missing value equals null.
        if (!equalJson(valueAt(this.root, path) ?? null, value ?? null)) {
          throw new PatchNotApplicable('testing value failed');
        }
    }
  }

  #parentOf(path: readonly string[]): { parent: Json; last: string } {
    const parent = valueAt(this.root, path.slice(0, -1));
    const last = path.at(-1);
    if (parent === undefined || parent === null || typeof parent !== 'object' || last === undefined) {
      throw new PatchNotApplicable(`missing: /${path.join('/')}`);
    }
    return { parent, last };
  }

  #set(path: readonly string[], value: Json, mode: 'insert' | 'replace'): void {
    if (path.length === 0) {
      this.root = value;
      return;
    }
    const { parent, last } = this.#parentOf(path);
    if (isObject(parent)) return setOwn(parent, last, value);
    const list = parent as Json[];
    if (mode === 'insert' && last === '-') {
      list.push(value);
      return;
    }
    const end = mode === 'insert' ? list.length : list.length - 1;
    if (!/^(0|[1-9]\d*)$/.test(last) || Number(last) > end)
      throw new PatchNotApplicable('index out of bounds');
    list.splice(Number(last), mode === 'insert' ? 0 : 1, value);
  }

  #remove(path: readonly string[]): Json {
    const { parent, last } = this.#parentOf(path);
    const value = childAt(parent, last);
    if (value === undefined) throw new PatchNotApplicable(`missing: /${path.join('/')}`);
    if (isObject(parent)) Reflect.deleteProperty(parent, last);
    else (parent as Json[]).splice(Number(last), 1);
    return value;
  }
}

/**
 * JSON patch (RFC 6902) as Kubernetes' library applies it: `replace` of a
 * missing member adds it, and a missing value passes a test for null. The
 * target is not changed. Throws PatchNotApplicable and MalformedPatch.
 */
export function jsonPatch(target: Json, patch: readonly Json[]): Json {
  const document = new PatchedDocument(target);
  for (const operation of patch.map(operationOf)) document.run(operation);
  return document.root;
}
