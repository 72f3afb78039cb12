import type { BodyType } from './admission.js';
import type { UserInfo } from '../user.js';
import type { ApiObject } from '../object.js';

/** What becomes of fields the schema does not know. */
export type FieldValidation = 'Ignore' | 'Warn' | 'Strict';

/** Tells where in a body properties stand, by path: a position for each time they are given. */
export type PropertyPositions = (paths: ReadonlySet<string>) => ReadonlyMap<string, readonly number[]>;

/** How and by whom an object is written. */
export interface WriteOptions {
  readonly user: UserInfo;
  /** The field manager; '' records no ownership. */
  readonly manager: string;
  readonly isDryRun?: boolean;
  readonly fieldValidation?: FieldValidation;
  /** Properties the body gave more than once, for strict validation. */
  readonly duplicates?: readonly string[];
  /** What strict validation says of a YAML body whose maps have keys twice. */
  readonly yamlProblem?: string | undefined;
  /** Puts what strict validation finds in the order of the body. */
  readonly positions?: PropertyPositions | undefined;
  /** Filled with texts for Warning headers. */
  readonly warnings?: string[];
  /** '' for the object itself. */
  readonly subresource?: string;
  /** Where the body of a subresource is of another type than the object: how admission sees it. */
  readonly body?: BodyView;
  /** Admission has seen the body already (eviction, binding). */
  readonly isAdmitted?: boolean;
}

/** The object as a subresource of another type shows and writes it, such as Scale. */
export interface BodyView {
  readonly type: BodyType;
  show(object: ApiObject): ApiObject;
  write(object: ApiObject, body: ApiObject): ApiObject;
}

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number | undefined;
  readonly propagationPolicy?: 'Orphan' | 'Background' | 'Foreground' | undefined;
  readonly preconditions?: {
    readonly uid?: string | undefined;
    readonly resourceVersion?: string | undefined;
  };
}

/** Names one object of a resource. */
export interface Target {
  readonly namespace: string | undefined;
  readonly name: string;
}

/** A written object, and whether it was not there before. */
export interface WriteResult {
  readonly object: ApiObject;
  readonly isNew: boolean;
}

/** How an object is changed. */
export interface ModifyMode {
  /** Ownership of fields was settled by the apply itself. */
  readonly isApply?: boolean;
  /** The whole object was sent, not a patch: another uid is a conflict rather than a change of uid. */
  readonly isReplacement?: boolean;
}
