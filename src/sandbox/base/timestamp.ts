/** A time as Kubernetes writes it: RFC 3339, whole seconds. Takes milliseconds or a Date; default now. */
export function timestamp(time: Date | number = Date.now()): string {
  return `${new Date(time).toISOString().slice(0, 19)}Z`;
}
