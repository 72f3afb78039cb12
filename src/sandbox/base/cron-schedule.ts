/** A parsed five-field cron expression. */
export interface CronSchedule {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** cron(8): when both day fields are restricted, either may match. */
  readonly isEitherDay: boolean;
}

const macros: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
};
const monthNames = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const dayNames = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
/** A schedule that matches no day (30 February) is given up after looking this far ahead. */
const lookAheadMaxDays = 366 * 5;
const minuteMs = 60_000;

/** Parses cron(8) syntax with names, ranges, steps, lists and the usual macros; undefined when it is not valid. */
export function parseCron(text: string): CronSchedule | undefined {
  const fields = (macros[text.trim().toLowerCase()] ?? text).trim().split(/\s+/);
  if (fields.length !== 5) return undefined;
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = fields;
  const minutes = parseField(minute, { min: 0, max: 59 });
  const hours = parseField(hour, { min: 0, max: 23 });
  const days = parseField(day, { min: 1, max: 31 });
  const months = parseField(month, { min: 1, max: 12, names: monthNames, namesFrom: 1 });
  const weekdays = parseField(weekday, { min: 0, max: 7, names: dayNames, namesFrom: 0 });
  if (minutes === undefined || hours === undefined || days === undefined) return undefined;
  if (months === undefined || weekdays === undefined) return undefined;
  if (weekdays.has(7)) weekdays.add(0);
  const isRestricted = (field: string): boolean => !field.startsWith('*') && field !== '?';
  return { minutes, hours, days, months, weekdays, isEitherDay: isRestricted(day) && isRestricted(weekday) };
}

/** The first time after `afterMs` that matches, in the time zone (default UTC); undefined when there is none. */
export function nextRun(schedule: CronSchedule, afterMs: number, timeZone = 'UTC'): number | undefined {
  let at = Math.floor(afterMs / minuteMs) * minuteMs + minuteMs;
  const end = afterMs + lookAheadMaxDays * 24 * 60 * minuteMs;
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    month: 'numeric',
    day: 'numeric',
    weekday: 'short',
    hour: 'numeric',
    minute: 'numeric',
  });
  while (at <= end) {
    const local = localTime(format, at);
    if (!dayMatches(schedule, local)) {
      // To the next local hour boundary, so that days are skipped quickly and none is missed.
      at += (60 - local.minute) * minuteMs;
      continue;
    }
    if (!schedule.hours.has(local.hour)) {
      at += (60 - local.minute) * minuteMs;
      continue;
    }
    if (schedule.minutes.has(local.minute)) return at;
    at += minuteMs;
  }
  return undefined;
}

interface LocalTime {
  readonly minute: number;
  readonly hour: number;
  readonly day: number;
  readonly month: number;
  readonly weekday: number;
}

function localTime(format: Intl.DateTimeFormat, ms: number): LocalTime {
  const parts = new Map(format.formatToParts(ms).map((part) => [part.type, part.value]));
  const number = (type: Intl.DateTimeFormatPartTypes): number => Number(parts.get(type));
  return {
    minute: number('minute'),
    hour: number('hour'),
    day: number('day'),
    month: number('month'),
    weekday: dayNames.indexOf((parts.get('weekday') ?? '').toLowerCase()),
  };
}

function dayMatches(schedule: CronSchedule, local: LocalTime): boolean {
  if (!schedule.months.has(local.month)) return false;
  const isDay = schedule.days.has(local.day);
  const isWeekday = schedule.weekdays.has(local.weekday);
  return schedule.isEitherDay ? isDay || isWeekday : isDay && isWeekday;
}

function parseField(
  text: string,
  o: {
    readonly min: number;
    readonly max: number;
    readonly names?: readonly string[];
    readonly namesFrom?: number;
  },
): Set<number> | undefined {
  const values = new Set<number>();
  const numberOf = (part: string): number => {
    const named = o.names?.indexOf(part.toLowerCase()) ?? -1;
    if (named >= 0) return named + (o.namesFrom ?? 0);
    return /^\d+$/.test(part) ? Number(part) : Number.NaN;
  };
  for (const item of text.split(',')) {
    const [range = '', stepText, ...rest] = item.split('/');
    const step = stepText === undefined ? 1 : Number(stepText);
    if (rest.length > 0 || !Number.isInteger(step) || step < 1) return undefined;
    let from = o.min;
    let to = o.max;
    if (range !== '*' && range !== '?') {
      const [first = '', last, ...more] = range.split('-');
      if (more.length > 0) return undefined;
      from = numberOf(first);
      // `5/10` means: from 5 to the end.
      to = last === undefined ? (stepText === undefined ? from : o.max) : numberOf(last);
    }
    if (!(from >= o.min && to <= o.max && from <= to)) return undefined;
    for (let value = from; value <= to; value += step) values.add(value);
  }
  return values;
}
