import type { Column } from '../registry/resource.js';
import { ageOf } from './age.js';

export const nameColumn: Column = {
  name: 'Name',
  format: 'name',
  description: 'Name of the object, unique within its namespace.',
  cell: (o) => o.metadata.name,
};

export const ageColumn: Column = {
  name: 'Age',
  description: 'Time since the object was created.',
  cell: (o) => ageOf(o.metadata.creationTimestamp),
};

/** What kinds without columns of their own show. */
export const defaultColumns: readonly Column[] = [
  nameColumn,
  {
    name: 'Created At',
    type: 'date',
    description: 'When the object was created.',
    cell: (o) => o.metadata.creationTimestamp,
  },
];
