import { type Measurements, median } from './measurements.js';
import { type Goal, type RowSpec, rows, throughputGoal } from './rows.js';

/** The run in numbers: a Markdown table that is aligned for a terminal as well. */
export function renderTable(measurements: Measurements): string {
  const lines = rows
    .filter((row) => measurements.values(row.name).length > 0)
    .map((row) => renderRow(row, measurements));
  return alignColumns(['measurement', 'median (min-max)', 'rounds', 'ratio (min-max)', 'goal'], lines);
}

/** The page docs/benchmarks.md for a run. */
export function renderPage(
  measurements: Measurements,
  machine: { readonly date: string; readonly nodeVersion: string; readonly cores: number },
): string {
  return `# Benchmarks

Written by \`npm run bench\` on ${machine.date}: Node.js ${machine.nodeVersion}, ${machine.cores} cores.

${renderTable(measurements)}

${verdict(measurements)}

How to read it: the ratio of a start is to \`node -e 0\`, that of a path to \`direct\`, always of the same round.
\`direct\` is a client pod on one node and a server pod on the other in a namespace outside the mesh, \`enrolled\` the
same through two ztunnels (HBONE with mutual TLS), \`through the waypoint\` the same through ztunnel and a waypoint.
New connections are one request each, offered faster and faster until a path completes less than 90 % of them in
time. Round trips are at 200 requests per second on kept connections. The large response is 128 MiB twice on one
connection. Memory is the proportional set size; the program text that all Node.js processes of the machine share
is divided among them, so a lone component takes more than its line says. A host for a connection is ztunnel's whole
decision about an outbound connection, an endpoint for a request the L7 proxy's choice among the hosts of a Service;
in the last three of these rows every tenth decision comes after a changed host, decoded from its message.
The controller is the real process, reading a made-up cluster from a stand-in for the API server and serving 100 proxies
over TLS, which acknowledge everything and share its two cores. 50 pods a second become unready, each with its
EndpointSlice; a change counts as acknowledged when the last of the 100 has answered. The heap is after a full garbage
collection, less that of an empty cluster. The CPU of single changes is from the object to the bytes for 100 streams,
without a network: an endpoint of a Service of 100, one pod, and a Service for ten pods.
`;
}

function verdict(measurements: Measurements): string {
  const value = (name: string) => median(measurements.values(name));
  const enrolled = value('throughput enrolled');
  const direct = value('throughput direct');
  const isReached = enrolled >= throughputGoal;
  return `The design wants ${throughputGoal} MB/s through two ztunnels. This run got ${number(enrolled)} MB/s, so that goal is
**${isReached ? 'reached here' : 'not reached yet'}**; without the mesh the same client and server moved ${number(direct)} MB/s${
    direct < throughputGoal ? ' (less than the goal: on this machine this pair cannot show it reached)' : ''
  }. Enrollment added
${number(value('p50 enrolled') - value('p50 direct'))} ms to the median round trip and left ${percent(median(measurements.ratios('connections enrolled', 'connections direct')))} of the new connections per second; the waypoint left
${percent(median(measurements.ratios('connections waypoint', 'connections direct')))} of them and ${percent(median(measurements.ratios('throughput waypoint', 'throughput direct')))} of the throughput. Client, server, proxies and load generator shared the cores of one
machine with whatever else ran there, and all of them are Node.js programs: the ratios say more than the values, and
neither says what other hardware would do.`;
}

function renderRow(row: RowSpec, measurements: Measurements): readonly string[] {
  const values = measurements.values(row.name);
  const ratios = row.peer === undefined ? [] : measurements.ratios(row.name, row.peer);
  const unit = row.unit === '/s' ? '/s' : ` ${row.unit}`;
  return [
    row.label,
    `${number(median(values))}${unit} ${range(values)}`,
    String(values.length),
    ratios.length === 0 ? '' : `${median(ratios).toFixed(2)}x ${range(ratios, (r) => r.toFixed(2))}`,
    row.goal === undefined ? '' : judge(row.goal, { unit, values, ratios }),
  ];
}

function judge(
  goal: Goal,
  o: { unit: string; values: readonly number[]; ratios: readonly number[] },
): string {
  const seen = median(goal.of === 'ratio' ? o.ratios : o.values);
  const isMet = goal.bound === 'at most' ? seen <= goal.limit : seen >= goal.limit;
  return `${goal.bound} ${goal.limit}${goal.of === 'ratio' ? 'x' : o.unit}: ${isMet ? 'met' : 'missed'}`;
}

function range(values: readonly number[], format: (value: number) => string = number): string {
  return `(${format(Math.min(...values))}-${format(Math.max(...values))})`;
}

/** Three significant digits are more than the noise allows. */
function number(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

function alignColumns(head: readonly string[], lines: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) =>
    Math.max(...[head, ...lines].map((l) => l[column]?.length ?? 0), title.length),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  const rule = `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`;
  return [line(head), rule, ...lines.map(line)].join('\n');
}
