import { constants } from 'node:os';

const signals: Readonly<Record<string, number>> = constants.signals;

/** The signal an image asks to be stopped with: `SIGQUIT`, `quit` or `3`; SIGTERM when it names none we know. */
export function stopSignal(text: string): NodeJS.Signals {
  const upper = text.trim().toUpperCase();
  const name = upper.startsWith('SIG') ? upper : `SIG${upper}`;
  const found = Object.entries(signals).find(
    ([key, number]) => key === name || String(number) === upper,
  )?.[0];
  return (found ?? 'SIGTERM') as NodeJS.Signals;
}
