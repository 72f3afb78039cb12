import { goDurationMs } from '#base/time/duration.js';

const longestMs = 24 * 3_600_000;

/** Milliseconds of `30s`, `2m`, `1m30s`, `500ms`, or a bare number of seconds; undefined when it is none of these, zero, or above a day. */
export function parseDurationMs(text: string): number | undefined {
  if (/^\d+$/.test(text)) return bounded(Number(text) * 1_000);
  const ms = goDurationMs(text);
  return ms === undefined ? undefined : bounded(Math.round(ms));
}

function bounded(ms: number): number | undefined {
  return ms > 0 && ms <= longestMs ? ms : undefined;
}

/** `850ms`, `12s`, `3m05s`: an elapsed time for people. */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)}ms`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return ms < 10_000 ? `${(ms / 1_000).toFixed(1)}s` : `${seconds}s`;
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`;
}
