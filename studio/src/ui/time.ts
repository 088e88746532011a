/** Returns a time of the API as people of the browser's language write it. */
export function timeText(time: string): string {
  return new Date(time).toLocaleString();
}

/** Returns how long something took. */
export function took(milliseconds: number): string {
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(1)} s`;
}
