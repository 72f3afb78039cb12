import type { ApiObject } from '../object.js';

export type StoreEventType = 'ADDED' | 'MODIFIED' | 'DELETED';

/** One committed change; `object` carries the revision of the change, also for deletions. */
export interface StoreEvent {
  readonly type: StoreEventType;
  readonly revision: number;
  readonly resource: string;
  readonly object: ApiObject;
  readonly previous: ApiObject | undefined;
}
