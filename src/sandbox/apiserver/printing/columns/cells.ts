import {
  type Json,
  numberOf,
  objectOf,
  objectsOf,
  valueIn,
  stringMapOf,
  stringOf,
} from '../../../base/json.js';
import type { ApiObject } from '../../object.js';
import { LabelQuery } from '../../registry/label-selector.js';
import type { Column } from '../../registry/resource.js';

export type Cell = (o: ApiObject) => Json;

/** A column of text. */
export function column(name: string, cell: Cell, priority = 0): Column {
  return { name, cell, priority, description: '' };
}

/** A column of whole numbers. */
export function integers(name: string, cell: Cell): Column {
  return { ...column(name, cell), type: 'integer' };
}

/** A column of truth values. */
export function booleans(name: string, cell: Cell): Column {
  return { ...column(name, cell), type: 'boolean' };
}

/** The value at a path; `missing` when there is none. */
export function cellAt(path: readonly string[], missing = ''): Cell {
  return (o) => {
    const value = valueIn(o, ...path);
    if (value === undefined || value === null || value === '') return missing;
    return typeof value === 'object' ? JSON.stringify(value) : value;
  };
}

/** The number at a path; 0 when there is none. */
export const count =
  (...path: string[]): Cell =>
  (o) =>
    numberOf(valueIn(o, ...path)) ?? 0;

/** How many entries some maps of the object have together. */
export const size =
  (...fields: string[]): Cell =>
  (o) =>
    fields.reduce((sum, f) => sum + Object.keys(objectOf(o[f])).length, 0);

export const orNone = (text: string): string => (text === '' ? '<none>' : text);

/** `a=b,c=d`, by key. */
export function labelsText(value: Json | undefined): string {
  return Object.entries(stringMapOf(value))
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([k, v]) => `${k}=${v}`)
    .join(',');
}

/** The first three of a list and how many more there are. */
export function listed(all: readonly string[], missing: string): string {
  if (all.length === 0) return missing;
  return all.length > 3 ? `${all.slice(0, 3).join(',')} + ${all.length - 3} more...` : all.join(',');
}

function containersColumn(
  name: string,
  field: string,
  template: readonly string[],
  priority: number,
): Column {
  return column(
    name,
    (o) =>
      objectsOf(valueIn(o, ...template, 'spec', 'containers'))
        .map((c) => stringOf(c[field]))
        .join(','),
    priority,
  );
}

/** Names and images of the containers of a pod template. */
export function templateColumns(template: readonly string[], priority = 1): Column[] {
  return [
    containersColumn('Containers', 'name', template, priority),
    containersColumn('Images', 'image', template, priority),
  ];
}

/** The selector in its query form. */
export function selectorText(value: Json | undefined): string {
  return orNone(LabelQuery.fromObject(value).toString());
}

export const selectorColumn = column('Selector', (o) => selectorText(valueIn(o, 'spec', 'selector')), 1);
