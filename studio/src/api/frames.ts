/** Work that is done once for each picture that the page draws. */

const LONGEST = 250;

/** Calls at the next frame; soon where none comes, because the page is not looked at. */
export function atNextFrame(call: () => void): void {
  let isDone = false;
  const once = () => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    cancelAnimationFrame(frame);
    call();
  };
  const timer = setTimeout(once, LONGEST);
  const frame = requestAnimationFrame(once);
}
