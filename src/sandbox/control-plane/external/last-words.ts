const maxChars = 300;

/**
 * What a program that ended said of the reason, as one line: the last complaint of etcd (JSON lines) or of
 * kube-apiserver (klog lines), the message of a panic, otherwise the last line.
 */
export function lastWords(log: string): string {
  const lines = log.split('\n').filter((line) => line.trim() !== '');
  const complaint = lines.findLast((line) => complaintOf(line) !== undefined);
  const text = complaint === undefined ? lines.at(-1) : complaintOf(complaint);
  return (text ?? '').trim().slice(0, maxChars);
}

/** The text of a line that tells of an end. */
function complaintOf(line: string): string | undefined {
  if (line.startsWith('{')) return jsonComplaint(line);
  return /^(?:F\d{4} [^\]]*\] |panic: |[Ee]rror: )(.*)/.exec(line)?.[1];
}

function jsonComplaint(line: string): string | undefined {
  try {
    const { level, msg, error } = JSON.parse(line) as Record<string, unknown>;
    if (level !== 'fatal' && level !== 'panic') return undefined;
    return [msg, error].filter((part) => typeof part === 'string' && part !== '').join(': ');
  } catch {
    return undefined;
  }
}
