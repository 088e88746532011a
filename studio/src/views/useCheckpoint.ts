import { useQuery } from "@tanstack/react-query";

import type { Api } from "../api/client";
import type { ThreadState } from "../api/types";
import { idOf } from "../model/tree";

/** Returns a state of the history; one that is further back than was read is asked for by itself. */
export function useCheckpoint(
  api: Api,
  threadId: string,
  states: readonly ThreadState[],
  id: string | null,
): { state: ThreadState | undefined; error: Error | null } {
  const known = states.find((state) => idOf(state) === id);
  const { data, error } = useQuery({
    queryKey: ["state", threadId, id],
    queryFn: () => api.state(threadId, id!),
    enabled: id !== null && known === undefined && states.length > 0,
    staleTime: Infinity,
    retry: false,
  });
  return { state: known ?? data, error: known === undefined ? error : null };
}
