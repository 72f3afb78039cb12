import { isObject, type Json, type JsonObject } from '../../base/json.js';

/** FieldsV1 comes from clients too: deeper sets than this are refused. */
const maxDepth = 200;

/**
 * A set of field paths, as managedFields stores it. Each step of a path is in
 * its wire form: `f:name` (property), `k:{"name":"x"}` (item of a keyed list),
 * `v:"x"` (item of a set).
 */
export class FieldSet {
  /** Whether the path that leads here is itself in the set. */
  isMember: boolean;
  readonly children: Map<string, FieldSet>;

  constructor(isMember = false, children: Map<string, FieldSet> = new Map()) {
    this.isMember = isMember;
    this.children = children;
  }

  get isEmpty(): boolean {
    return !this.isMember && this.children.size === 0;
  }

  /** Reads the FieldsV1 wire form. Throws RangeError when it nests absurdly. */
  static fromJson(json: Json | undefined, depth = 0): FieldSet {
    if (depth > maxDepth) throw new RangeError('fieldsV1 is nested too deeply');
    const set = new FieldSet();
    if (!isObject(json)) return set;
    for (const [step, value] of Object.entries(json)) {
      if (step === '.') {
        set.isMember = true;
        continue;
      }
      const child = FieldSet.fromJson(value, depth + 1);
      if (child.children.size === 0) child.isMember = true;
      set.children.set(step, child);
    }
    return set;
  }

  /** The FieldsV1 wire form. */
  toJson(): JsonObject {
    const out: JsonObject = {};
    if (this.isMember && this.children.size > 0) out['.'] = {};
    for (const [step, child] of [...this.children].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (!child.isEmpty) out[step] = child.toJson();
    }
    return out;
  }

  /** The set below a step, created when missing. */
  child(step: string): FieldSet {
    let child = this.children.get(step);
    if (child === undefined) {
      child = new FieldSet();
      this.children.set(step, child);
    }
    return child;
  }

  union(other: FieldSet): FieldSet {
    const children = new Map(this.children);
    for (const [step, theirs] of other.children) {
      const ours = children.get(step);
      children.set(step, ours === undefined ? theirs : ours.union(theirs));
    }
    return new FieldSet(this.isMember || other.isMember, children);
  }

  /** Paths in both. */
  intersection(other: FieldSet): FieldSet {
    const children = new Map<string, FieldSet>();
    for (const [step, ours] of this.children) {
      const theirs = other.children.get(step);
      if (theirs === undefined) continue;
      const common = ours.intersection(theirs);
      if (!common.isEmpty) children.set(step, common);
    }
    return new FieldSet(this.isMember && other.isMember, children);
  }

  /** Paths here that are not in the other set. */
  difference(other: FieldSet): FieldSet {
    const children = new Map<string, FieldSet>();
    for (const [step, ours] of this.children) {
      const theirs = other.children.get(step);
      const rest = theirs === undefined ? ours : ours.difference(theirs);
      if (!rest.isEmpty) children.set(step, rest);
    }
    return new FieldSet(this.isMember && !other.isMember, children);
  }

  equals(other: FieldSet): boolean {
    return this.difference(other).isEmpty && other.difference(this).isEmpty;
  }

  /** Every path as people read it: `.spec.containers[name="a"].image`. */
  paths(): string[] {
    const out: string[] = this.isMember ? [''] : [];
    this.#collect('', out);
    return out;
  }

  #collect(prefix: string, out: string[]): void {
    const children = [...this.children].sort(([a], [b]) => (a < b ? -1 : 1));
    // What ends here before what goes on, as Kubernetes lists them.
    for (const [step, child] of children) if (child.isMember) out.push(prefix + readable(step));
    for (const [step, child] of children) child.#collect(prefix + readable(step), out);
  }
}

function readable(step: string): string {
  const text = step.slice(2);
  if (step.startsWith('f:')) return `.${text}`;
  if (step.startsWith('k:')) {
    const keys: unknown = JSON.parse(text);
    if (isObject(keys)) {
      return `[${Object.entries(keys)
        .map(([k, v]) => `${k}=${JSON.stringify(v)}`)
        .join(',')}]`;
    }
  }
  return `[=${text}]`;
}
