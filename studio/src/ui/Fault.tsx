import { ApiError } from "../api/client";
import { TEXTS } from "../texts";

/** Statuses of servers that do not have what was asked for, rather than refuse it. */
const LACKING = new Set([404, 405, 501]);

/** Why something is not shown; what a server does not have is no fault of anybody. */
export function Fault({ error }: { error: Error | string | null }) {
  if (error === null) return null;
  if (error instanceof ApiError && LACKING.has(error.status)) {
    return <p className="empty">{`${TEXTS.lacks} (${error.status}: ${error.message})`}</p>;
  }
  return <p role="alert" className="fault">{typeof error === "string" ? error : error.message}</p>;
}
