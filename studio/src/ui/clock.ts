/** What time it is for what is shown: now, but for a run that is shown again. */

import { createContext } from "react";

/** In milliseconds since 1970; null where it is the clock of the page. */
export const ShownTime = createContext<number | null>(null);
