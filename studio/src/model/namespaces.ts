/** The namespaces of a store as the tree that they are. */

export interface Branch {
  /** All labels down to here. */
  namespace: string[];
  label: string;
  branches: Branch[];
}

/** Returns the outermost namespaces with those in them, each in the order of their labels. */
export function treeOf(namespaces: readonly (readonly string[])[]): Branch[] {
  const root: Branch = { namespace: [], label: "", branches: [] };
  for (const namespace of namespaces) {
    let place = root;
    for (const label of namespace) {
      let next = place.branches.find((branch) => branch.label === label);
      if (next === undefined) {
        next = { namespace: [...place.namespace, label], label, branches: [] };
        place.branches.push(next);
      }
      place = next;
    }
  }
  sort(root.branches);
  return root.branches;
}

function sort(branches: Branch[]): void {
  branches.sort((one, other) => (one.label < other.label ? -1 : 1));
  for (const branch of branches) sort(branch.branches);
}

/** Returns the labels of a namespace as a user has typed it, with periods or slashes between them. */
export function labelsIn(text: string): string[] {
  return text.split(/[./]/).map((label) => label.trim()).filter((label) => label !== "");
}
