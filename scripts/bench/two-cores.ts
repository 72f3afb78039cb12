import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

const coresOfTheGoals = 2;

/**
 * Keeps this process, and with it every program it starts, on two of the machine's cores: that is what the goals
 * for start and install are for. Returns how many cores it uses now.
 */
export function useTwoCores(): number {
  const allowed = allowedCores();
  if (allowed.length <= coresOfTheGoals) return allowed.length;
  const wanted = allowed.slice(0, coresOfTheGoals).join(',');
  const { status, stderr } = spawnSync(
    'taskset',
    ['--all-tasks', '--cpu-list', '--pid', wanted, String(process.pid)],
    {
      encoding: 'utf8',
    },
  );
  if (status !== 0) throw new Error(`taskset could not limit the run to two cores: ${stderr}`);
  return allowedCores().length;
}

/** Numbers of the cores this process may run on. */
function allowedCores(): number[] {
  const list = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return list.split(',').flatMap((range) => {
    const [first = 0, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, i) => first + i);
  });
}
