/** Writing an edited state, and looking at what has become of it. */

import { EditError, isAsWanted, written, type Edit } from "../model/edit";
import { object } from "../model/run";
import type { Api } from "./client";
import type { Checkpoint } from "./types";

/**
 * Returns the checkpoint whose state is as an edit wants it. What was tried before in another form
 * stays in the history, as a branch that nothing comes after.
 */
export async function writeEdit(api: Api, threadId: string, edit: Edit): Promise<Checkpoint> {
  const keys = Object.keys(edit.values);
  const tried = new Map(keys.map((key) => [key, 0]));
  for (;;) {
    const values = keys.map((key) => [key, written(edit.values[key]!, edit.forms[key]![tried.get(key)!]!)] as const);
    const { checkpoint } = await api.updateState(threadId, Object.fromEntries(values), edit.base, edit.asNode);
    const became = object((await api.state(threadId, checkpoint.checkpoint_id)).values);
    const wrong = keys.filter((key) => !isAsWanted(edit.values[key]!, became[key]));
    if (wrong.length === 0) return checkpoint;
    for (const key of wrong) {
      const next = tried.get(key)! + 1;
      if (next === edit.forms[key]!.length) throw new EditError(`The graph makes something else of this value of ${key}.`);
      tried.set(key, next);
    }
  }
}
