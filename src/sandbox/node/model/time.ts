/** Kubernetes' time format: RFC 3339 without fractions. */
export function seconds(date: Date): string {
  return date.toISOString().replace(/\.\d+Z$/, 'Z');
}
