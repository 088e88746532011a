import { Component, type ReactNode } from "react";

import { TEXTS } from "../texts";

interface Props {
  /** What is tried anew when it changes. */
  place: string;
  children: ReactNode;
}

/** Where a part of the page ends that cannot be drawn: the rest of it goes on. */
export class Boundary extends Component<Props, { place: string; fault: string | null }> {
  override state = { place: this.props.place, fault: null };

  static getDerivedStateFromError(error: unknown) {
    return { fault: error instanceof Error ? error.message : String(error) };
  }

  static getDerivedStateFromProps({ place }: Props, known: { place: string }) {
    return place === known.place ? null : { place, fault: null };
  }

  override render() {
    if (this.state.fault === null) return this.props.children;
    return <main><p role="alert" className="fault">{`${TEXTS.cannotShow}${this.state.fault}`}</p></main>;
  }
}
