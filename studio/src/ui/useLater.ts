import { useEffect, useMemo, useRef } from "react";

/** Returns a function that does something once it was not called again for a while. */
export function useLater(action: () => void, milliseconds: number): () => void {
  const newest = useRef(action);
  useEffect(() => {
    newest.current = action;
  });
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(timer.current), []);
  return useMemo(
    () => () => {
      clearTimeout(timer.current);
      timer.current = setTimeout(() => newest.current(), milliseconds);
    },
    [milliseconds],
  );
}
