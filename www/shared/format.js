// Times and sizes in words.

/** @param {number} seconds */
export const formatTimeLeft = (seconds) =>
  seconds < 1 ? "less than a second left" : `about ${formatDuration(seconds)} left`;

/** @param {number} seconds */
export function formatDuration(seconds) {
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 90 * 60) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** @param {number} bytes */
export function formatBytes(bytes) {
  const [unit, size] = bytes < 1e9 ? ["MB", bytes / 1e6] : ["GB", bytes / 1e9];
  return `${size.toFixed(unit === "GB" || size < 10 ? 1 : 0)} ${unit}`;
}

/** Two sizes in one unit: "123 of 560 MB". @param {number} done @param {number} total */
export function formatBytesOf(done, total) {
  const [unit, size, digits] = total < 1e9 ? ["MB", 1e6, total < 1e7 ? 1 : 0] : ["GB", 1e9, 2];
  return `${(done / size).toFixed(digits)} of ${(total / size).toFixed(digits)} ${unit}`;
}
