import { useState } from "react";

export interface Action {
  /** Why the last one did not succeed, null while nothing is wrong. */
  fault: string | null;
  isBusy: boolean;
  /** Does something, and says whether it has succeeded. */
  run: (work: () => Promise<unknown>) => Promise<boolean>;
}

/** Something that a user has done, which takes a while and may fail. */
export function useAction(): Action {
  const [fault, setFault] = useState<string | null>(null);
  const [isBusy, setBusy] = useState(false);

  async function run(work: () => Promise<unknown>): Promise<boolean> {
    setBusy(true);
    setFault(null);
    try {
      await work();
      return true;
    } catch (error) {
      setFault(error instanceof Error ? error.message : String(error));
      return false;
    } finally {
      setBusy(false);
    }
  }

  return { fault, isBusy, run };
}
